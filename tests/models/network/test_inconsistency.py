"""Splits, designs and net heat against refits."""

import numpy as np
import pandas as pd
import pytest

from comfrey.models.network import network


def frame(columns):
    return pd.DataFrame(dict(zip(("y", "v", "a", "b", "s"), columns, strict=True)))


def refit(data, method="EE"):
    return network(data.y, data.v, data.a, data.b, data.s, method=method)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("method", ["EE", "DL"])
def test_sidde_is_a_refit_without_the_studies_that_hold_both(random_network, dense, seed, method):
    data = frame(random_network(seed, n=6, k=12, multi=0.4))
    net = refit(data, method)
    table = net.split("SIDDE")
    held = {s: set(g.a) | set(g.b) for s, g in data.groupby("s")}
    for (a, b), row in table[table.k > 0].iterrows():
        both = {s for s, arms in held.items() if {a, b} <= arms}
        rest = data[~data.s.isin(both)]
        try:
            again = network(rest.y, rest.v, rest.a, rest.b, rest.s, method="EE")
            joined = np.isfinite(again.effects.loc[a, b])
        except (KeyError, ValueError):
            joined = False
        if not joined:
            assert np.isnan(row.indirect)
            assert row.evidence == "direct only"
            continue
        part = again._structure.island[again.treatments.index(a)]
        names = [t for t, p in zip(again.treatments, again._structure.island, strict=True) if p == part]
        rest = rest[rest.a.isin(names)]
        model = dense(rest.y, rest.v, rest.a, rest.b, rest.s)
        theta, cov, _, _ = model.solve(net.tau2)
        full, big = np.r_[0, theta], np.zeros((len(theta) + 1,) * 2)
        big[1:, 1:] = cov
        i, j = model.names.index(a), model.names.index(b)
        assert row.indirect == pytest.approx(full[i] - full[j], rel=1e-8, abs=1e-10)
        assert row.se_indirect**2 == pytest.approx(big[i, i] + big[j, j] - 2 * big[i, j], rel=1e-8)


def test_back_calculation_and_sidde_agree_without_multi_arm_studies(random_network):
    net = network(*random_network(4, multi=0.0), method="DL")
    one, two = net.split(), net.split("SIDDE")
    for column in ("indirect", "se_indirect", "difference", "p_value"):
        np.testing.assert_allclose(one[column], two[column], rtol=1e-7)


def test_sidde_may_estimate_the_heterogeneity_anew(random_network):
    net = network(*random_network(5, multi=0.2), method="REML")
    table = net.split("SIDDE", tau2="refit")
    mixed = table[table.evidence == "mixed"]
    assert (mixed.tau2 != net.tau2).any()
    assert np.isfinite(mixed.difference).all()
    assert (table[table.k == 0].tau2 == net.tau2).all()


def test_detached_designs_are_refits_without_the_design(random_network):
    data = frame(random_network(6, n=6, k=14, multi=0.3))
    net = refit(data, "DL")
    designs = data.groupby("s").apply(lambda g: ":".join(sorted(set(g.a) | set(g.b))), include_groups=False)
    table = net.designs().detached
    assert set(table.index) == set(designs)
    for name, row in table.iterrows():
        rest = data[data.s.map(designs) != name]
        again = refit(rest)
        assert row.df == again.q_inconsistency_df
        assert row.q == pytest.approx(again.q_inconsistency, rel=1e-8, abs=1e-9)


def test_between_designs_is_a_wald_test_at_the_heterogeneity_within(random_network):
    net = network(*random_network(7, n=5, k=16), method="DL")
    for method in ("DL", "REML", "ML"):
        result = net.designs(method)
        assert result.q_random_df == net.q_inconsistency_df
        assert result.q_random <= net.q_inconsistency + 1e-9
        assert result.tau2_within >= 0


def test_net_heat_is_the_change_when_a_design_is_detached(random_network):
    data = frame(random_network(8, n=5, k=12, multi=0.3))
    net = refit(data)
    heat = net.net_heat()
    assert heat.q.sum() == pytest.approx(net.q_inconsistency, rel=1e-9)
    np.testing.assert_allclose(np.diag(heat.heat), heat.q, atol=1e-12)
    left = net.designs().detached
    # What all designs lose when one is detached is what Q between designs loses.
    np.testing.assert_allclose(heat.heat.sum(axis=0), net.q_inconsistency - left.q[heat.heat.columns], atol=1e-9)
    hat = heat.contribution.to_numpy()
    np.testing.assert_allclose(hat @ hat, hat, atol=1e-10)
    assert np.trace(hat) == pytest.approx(len(net.treatments) - 1)
    assert net.net_heat(random=True).q.sum() <= heat.q.sum() + 1e-9


def test_consistent_data_have_no_inconsistency():
    level = {"A": 0.0, "B": 1.0, "C": 3.0}
    pairs = [("A", "B"), ("B", "C"), ("A", "C"), ("A", "B")]
    net = network([level[a] - level[b] for a, b in pairs], [0.1, 0.2, 0.3, 0.4], *zip(*pairs, strict=True), range(4))
    assert net.q == pytest.approx(0, abs=1e-20)
    assert net.tau2 == 0
    assert net.split()["difference"].dropna().abs().max() < 1e-12


def design_shape(columns, model):
    """Covariance that the studies of a design share, in the rows of the plain algebra."""
    data = frame(columns)
    held = {s: tuple(sorted(set(g.a) | set(g.b))) for s, g in data.groupby("s", sort=False)}
    names = [held[s] for s in dict.fromkeys(data.s) for _ in range(len(held[s]) - 1)]
    place = [j for s in dict.fromkeys(data.s) for j in range(len(held[s]) - 1)]
    same = np.array([[a == b for b in names] for a in names], float)
    return same * np.where(np.array(place)[:, None] == np.array(place), 1.0, 0.5)


@pytest.mark.parametrize("name", ["nma_diabetes_DL", "nma_smoking", "nma_depression", "random"])
def test_random_inconsistency_is_the_maximum_of_brute_force(reference, random_network, dense, name):
    columns = random_network(9, n=5, k=16, noise=0.5) if name == "random" else reference(name).columns()
    columns = (*columns[:4], [str(s) for s in columns[4]])
    model = dense(*columns)
    shape = design_shape(columns, model)
    sampling = model.V.copy()

    def height(tau2, omega2):
        model.V = sampling + omega2 * shape
        return model.log_likelihood(tau2, restricted=True)

    fit = network(*columns, method="REML").random_inconsistency()
    best = height(fit.tau2, fit.omega2)
    for tau2 in (0.0, 0.5, 0.99, 1.01, 2.0):
        for omega2 in (0.0, 0.5, 0.99, 1.01, 2.0):
            assert height(tau2 * fit.tau2 + 1e-3 * (tau2 > 1), omega2 * fit.omega2 + 1e-3 * (omega2 > 1)) <= best + 1e-7
    assert fit.likelihood_ratio == pytest.approx(2 * (best - height(fit.tau2_consistent, 0.0)), abs=1e-6)
    model.V = sampling + fit.omega2 * shape
    theta, cov, _, _ = model.solve(fit.tau2)
    np.testing.assert_allclose(fit.effects.iloc[1:, 0], theta, atol=1e-8)
    np.testing.assert_allclose(fit.standard_errors.iloc[1:, 0], np.sqrt(np.diag(cov)), rtol=1e-7)
    assert "omega2" in repr(fit)
    assert 0 <= fit.p_value <= 1


def test_random_inconsistency_needs_a_loop():
    from comfrey.errors import NotEstimableError

    with pytest.raises(NotEstimableError, match="no loop"):
        network([0.1, 0.2], [0.1] * 2, ["A", "B"], ["B", "C"], [1, 2]).random_inconsistency()
    loop = network([0.1, 0.2, 0.9], [0.1] * 3, ["A", "B", "A"], ["B", "C", "C"], [1, 2, 3]).random_inconsistency()
    assert loop.tau2 == 0
    assert "No design has two studies" in loop.notes[0]
