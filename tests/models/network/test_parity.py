"""The numbers of netmeta 3.6.2 (calls and data in the reference files), and of brute force."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from comfrey.models.network import _fit

NETWORKS = ["nma_diabetes_DL", "nma_smoking", "nma_parkinson", "nma_depression"]


@pytest.fixture(params=NETWORKS)
def case(request, reference):
    ref = reference(request.param)
    return ref, ref.fit("DL")


def test_q_and_tau2(case):
    ref, net = case
    s = ref.results["summary"]
    got = [net.q, net.q_heterogeneity, net.q_inconsistency, net.tau2, net.i2 / 100]
    assert got == pytest.approx([s["Q"], s["Q_het"], s["Q_inc"], s["tau2"], s["I2"]], rel=1e-10, abs=1e-10)
    degrees = (net.q_df, net.q_heterogeneity_df, net.q_inconsistency_df)
    assert degrees == (s["df"], s["df_het"], s["df_inc"])
    assert (net.k, net.n_comparisons, len(net.treatments)) == (s["k"], s["m"], s["n"])
    assert [net.q_p, net.q_inconsistency_p] == pytest.approx([s["p"], s["p_inc"]], rel=1e-10)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("effects", "TE_random"),
        ("standard_errors", "seTE_random"),
        ("common_effects", "TE_common"),
        ("common_standard_errors", "seTE_common"),
        ("ci_low", "lower_random"),
        ("ci_high", "upper_random"),
        ("pi_low", "lower_predict"),
        ("pi_high", "upper_predict"),
    ],
)
def test_matrices(case, mine, theirs):
    ref, net = case
    want = ref.matrix(theirs)
    got = getattr(net, mine).loc[want.index, want.columns]
    off = ~np.eye(len(want), dtype=bool)
    np.testing.assert_allclose(got.to_numpy()[off], want.to_numpy()[off], rtol=1e-9, atol=1e-11)


def test_p_scores(case):
    ref, net = case
    for mine, theirs in ((net.p_scores, "pscore_random"), (net.common_p_scores, "pscore_common")):
        assert mine.to_dict() == pytest.approx(ref.results[theirs], abs=1e-10)


def test_split_by_back_calculation(case):
    ref, net = case
    want, table = ref.results["netsplit_random"], net.split()
    columns = ("k", "prop", "direct", "indirect", "diff", "se_diff", "p")
    for label, *values in zip(want["comparison"], *(want[c] for c in columns), strict=True):
        a, b = label.split(":")
        sign = 1 if (a, b) in table.index else -1
        row = table.loc[(a, b) if sign == 1 else (b, a)]
        got = [
            row["k"],
            row["proportion"],
            *(sign * row[["direct", "indirect", "difference"]]),
            row["se_difference"],
            row["p_value"],
        ]
        for mine, theirs in zip(got, values, strict=True):
            assert np.isnan(mine) if theirs is None else mine == pytest.approx(theirs, rel=1e-8, abs=1e-10)


def test_designs(case):
    ref, net = case
    want, got = ref.results["decomp_design"], net.designs()
    place = {frozenset(name.split(":")): name for name in got.within.index}
    for theirs, mine in (("Q_het_design", got.within), ("Q_inc_detach", got.detached)):
        rows = mine.loc[[place[frozenset(d.split(":"))] for d in want[theirs]["design"]]]
        np.testing.assert_allclose(rows["q"], want[theirs]["Q"], rtol=1e-9, atol=1e-11)
        assert rows["df"].tolist() == want[theirs]["df"]
    random = want["Q_inc_random"]
    assert got.q_random == pytest.approx(random["Q"], rel=1e-10)
    assert got.q_random_df == random["df"]
    assert np.sqrt(got.tau2_within) == pytest.approx(random["tau.within"], rel=1e-10, abs=1e-12)
    np.testing.assert_allclose(got.decomposition["q"], want["Q_decomp"]["Q"], rtol=1e-10)


def _contributions(ref, table, key):
    want = ref.matrix(key)
    rows = {frozenset(i): i for i in table.index}
    columns = {frozenset(c): c for c in table.columns}
    got = table.loc[
        [rows[frozenset(r.split(":"))] for r in want.index], [columns[frozenset(c.split(":"))] for c in want.columns]
    ]
    return got.to_numpy(), want.to_numpy()


def test_random_walk_contributions(case):
    ref, net = case
    got, want = _contributions(ref, net.contributions("random-walk"), "contribution_randomwalk_random")
    np.testing.assert_allclose(got, want, atol=1e-10)


def test_measures_of_evidence_paths(case):
    ref, net = case
    want, names = ref.results["measures"], ref.matrix("TE_random").index
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    mine = net.evidence_paths
    rows = mine.loc[[p if p in mine.index else p[::-1] for p in pairs]]
    columns = {"proportion": "proportion", "mean_path_length": "meanpath", "minimal_parallelism": "minpar"}
    for column, key in columns.items():
        np.testing.assert_allclose(rows[column], want[key], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["nma_smoking", "nma_parkinson"])
def test_shortest_path_contributions_where_no_tie_matters(reference, name):
    ref = reference(name)
    got, want = _contributions(ref, ref.fit("DL").contributions("shortest-path"), "contribution_shortestpath_random")
    np.testing.assert_allclose(got, want, atol=1e-10)


@pytest.mark.parametrize("name", ["nma_diabetes_DL", "nma_depression"])
def test_shortest_path_contributions_with_ties_lie_close(reference, name):
    # The method does not say which of several equally short paths goes first, and netmeta's order is another one;
    # test_contributions shows that netmeta's rows are among the possible outcomes. Rows without a tie agree.
    ref = reference(name)
    got, want = _contributions(ref, ref.fit("DL").contributions("shortest-path"), "contribution_shortestpath_random")
    far = np.abs(got - want).max(axis=1)
    assert far.max() < 0.02
    assert (far < 1e-9).mean() > 0.6


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_numbers_at_netmeta_s_tau2(reference, method, monkeypatch):
    ref = reference(f"nma_diabetes_{method}")
    tau2 = ref.results["summary"]["tau2"]
    monkeypatch.setattr(_fit, "estimate_tau2", lambda structure, how: (tau2, None))
    net = ref.fit(method)
    for mine, theirs in (("effects", "TE_random"), ("standard_errors", "seTE_random"), ("pi_low", "lower_predict")):
        want = ref.matrix(theirs)
        np.testing.assert_allclose(
            getattr(net, mine).loc[want.index, want.columns].fillna(0), want.fillna(0), rtol=1e-9, atol=1e-11
        )
    assert net.p_scores.to_dict() == pytest.approx(ref.results["pscore_random"], abs=1e-10)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_likelihood_maximum_is_that_of_brute_force(reference, dense, name, method):
    ref = reference(name)
    net, model = ref.fit(method), dense(*ref.columns())
    down = lambda t: -model.log_likelihood(np.exp(t), restricted=method == "REML")  # noqa: E731
    best = minimize_scalar(down, bounds=(-18, 3), method="bounded", options={"xatol": 1e-10})
    if net.tau2 == 0:
        at_zero = model.log_likelihood(0.0, restricted=method == "REML")
        assert at_zero >= -best.fun - 1e-6
        assert net.certificates[0].at_boundary
    else:
        # A search by values alone is good to the root of machine precision.
        assert net.tau2 == pytest.approx(np.exp(best.x), rel=1e-5)
        assert abs(net.certificates[0].gradient) < 1e-8
    theta, cov, _, _ = model.solve(net.tau2)
    first = net.effects.iloc[1:, 0].to_numpy()
    np.testing.assert_allclose(first, theta, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(net.standard_errors.iloc[1:, 0], np.sqrt(np.diag(cov)), rtol=1e-9)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_netmeta_s_tau2_in_diabetes_ignores_the_covariance_of_a_study_whose_rows_lie_apart(reference, dense, method):
    # The rows of Willms 1999 are rows 3, 27 and 28 of the data. netmeta's likelihood then has no sampling covariance
    # between them: with V made diagonal its tau2 comes out to 1e-6, and that of the stated model is another one.
    ref = reference(f"nma_diabetes_{method}")
    model = dense(*ref.columns())
    full = model.V.copy()
    model.V = np.diag(np.diag(full))
    down = lambda t: -model.log_likelihood(t, restricted=method == "REML")  # noqa: E731
    wrong = minimize_scalar(down, bounds=(1e-6, 1), method="bounded", options={"xatol": 1e-12}).x
    assert wrong == pytest.approx(ref.results["summary"]["tau2"], rel=2e-5)
    assert ref.fit(method).tau2 == pytest.approx(wrong, rel=0.03)
    assert ref.fit(method).tau2 != pytest.approx(wrong, rel=1e-3)


def test_published_diabetes_network(reference):
    """Senn et al. 2013, as recomputed: three effects against placebo to four digits."""
    net = reference("nma_diabetes_DL").fit("DL", reference="plac")
    table = net.summary
    for drug, estimate, se in (("rosi", -1.2335, 0.1278), ("piog", -1.1291, 0.2196), ("metf", -1.1268, 0.1543)):
        assert table.loc[drug, ["estimate", "se"]].tolist() == pytest.approx([estimate, se], abs=6e-5)
