"""Streams of evidence against the listing of every path, and their sums."""

import itertools

import numpy as np
import pandas as pd
import pytest

from comfrey.errors import NotEstimableError
from comfrey.models.network import _contribution as module
from comfrey.models.network import network


def all_paths(flow, source, target):
    """Every path of a flow, by depth-first search."""
    found, stack = [], [[source]]
    while stack:
        path = stack.pop()
        if path[-1] == target:
            found.append(path)
            continue
        stack += [[*path, int(j)] for j in np.flatnonzero(flow[path[-1]] > 0)]
    return found


def walk_by_listing(flow, source, target):
    out = flow.sum(axis=1)
    result = np.zeros_like(flow)
    for path in all_paths(flow, source, target):
        steps = list(itertools.pairwise(path))
        chance = np.prod([flow[i, j] / out[i] for i, j in steps])
        for i, j in steps:
            result[i, j] += chance / len(steps)
    return result


@pytest.mark.parametrize("seed", range(4))
def test_random_walk_is_the_sum_over_all_paths(random_network, seed):
    net = network(*random_network(seed, n=7, k=18), method="DL")
    weights = module._edge_weights(net._structure, net._random)
    for s, t in ((0, 6), (2, 5), (1, 3)):
        flow = module.flows(weights, net._random.inverse, s, t)
        want = walk_by_listing(flow, s, t)
        got = module.random_walk(flow[None], np.array([s]), np.array([t]))[0]
        np.testing.assert_allclose(got, want, atol=1e-13)


def test_flow_is_conserved_and_is_the_hat_matrix(random_network):
    net = network(*random_network(1), method="REML")
    weights = module._edge_weights(net._structure, net._random)
    flow = module.flows(weights, net._random.inverse, 0, 4)
    balance = flow.sum(axis=1) - flow.sum(axis=0)
    assert balance == pytest.approx([1, 0, 0, 0, -1, 0], abs=1e-12)
    hat = net.contributions("hat").loc[("T0", "T4")]
    for (a, b), value in hat.items():
        i, j = net.treatments.index(a), net.treatments.index(b)
        assert value == pytest.approx(flow[i, j] - flow[j, i], abs=1e-11)
    direct = net.split()["proportion"]
    for edge in hat.index.intersection(direct[direct > 0].index):
        assert net.contributions("hat").loc[edge, edge] <= direct[edge] + 1e-9


@pytest.mark.parametrize("kind", ["random-walk", "shortest-path"])
def test_rows_sum_to_one_per_comparison_study_and_level(random_network, kind):
    columns = random_network(2)
    net = network(*columns, method="REML")
    levels = {s: ("high", "low")[i % 2] for i, s in enumerate(dict.fromkeys(columns[4]))}
    for table in (
        net.contributions(kind),
        net.contributions(kind, per="study"),
        net.contributions(kind, per="risk of bias", risk_of_bias=levels),
        net.contributions(kind, common=True),
    ):
        np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-10)
        assert (table >= -1e-12).all(axis=None)
    assert list(net.contributions(kind, per="risk of bias", risk_of_bias=levels).columns) == ["high", "low"]


def test_studies_share_a_comparison_by_their_weights():
    net = network([0.1, 0.2, 0.4], [0.1, 0.3, 0.2], ["A", "A", "B"], ["B", "B", "C"], ["x", "y", "z"], method="EE")
    row = net.contributions(per="study").loc[("A", "C")]
    assert row.to_dict() == pytest.approx({"x": 0.5 * 0.75, "y": 0.5 * 0.25, "z": 0.5})


def possible_outcomes(flow, source, target, limit=4000):
    """All end results of taking shortest paths away, whichever goes first where several are equally short."""
    outcomes, todo = [], [(flow.copy(), np.zeros_like(flow))]
    while todo and len(outcomes) < limit:
        left, done = todo.pop()
        paths = all_paths(left, source, target)
        if not paths:
            outcomes.append(done)
            continue
        short = min(map(len, paths))
        for path in (p for p in paths if len(p) == short):
            start, end = np.array(path[:-1]), np.array(path[1:])
            amount = left[start, end].min()
            new, result = left.copy(), done.copy()
            new[start, end] -= amount
            new[new < 1e-12] = 0
            result[start, end] += amount / start.size
            todo.append((new, result))
    return outcomes


@pytest.mark.parametrize("name", ["nma_diabetes_DL"])
def test_netmeta_s_shortest_paths_are_among_the_possible_ones(reference, name):
    ref = reference(name)
    net = ref.fit("DL")
    want = ref.matrix("contribution_shortestpath_random")
    mine = net.contributions("shortest-path")
    weights, names = module._edge_weights(net._structure, net._random), list(net.treatments)
    columns = [tuple(names.index(x) for x in c.split(":")) for c in want.columns]
    tied = 0
    for label, row in want.iterrows():
        s, t = (names.index(x) for x in label.split(":"))
        ours = mine.loc[(names[s], names[t])].to_numpy()
        theirs = row[[f"{a}:{b}" for a, b in mine.columns]].to_numpy()
        if np.abs(ours - theirs).max() < 1e-9:
            continue
        tied += 1
        results = possible_outcomes(module.flows(weights, net._random.inverse, s, t), s, t)
        assert len(results) > 1
        far = [max(abs((r + r.T)[c] - v) for c, v in zip(columns, row, strict=True)) for r in results]
        assert min(far) < 1e-9
    assert tied < 10


def test_evidence_in_circles_is_refused():
    # A study whose variances are no sums of arms' variances: one of its reduced weights is negative.
    circle = np.array([[[0.0, 1.0, 0.0, 0.0], [0, 0, 1, 0], [0, 0.5, 0, 1], [0, 0, 0, 0]]])
    with pytest.raises(NotEstimableError, match="circles"):
        module.random_walk(circle, np.array([0]), np.array([3]))


def test_pairs_of_other_parts_are_not_a_number():
    net = network([0.1, 0.2], [0.1] * 2, ["A", "C"], ["B", "D"], [1, 2])
    table = net.contributions()
    assert isinstance(table, pd.DataFrame)
    assert table.loc[("A", "C")].isna().all()
    assert table.loc[("C", "D")].tolist() == [0.0, 1.0]
