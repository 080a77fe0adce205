"""What netmeta 3.6.2 gives beyond the parity ledger, and brute force."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from comfrey.models.network import _fit

NETWORKS = ["nma_diabetes_DL", "nma_smoking", "nma_parkinson", "nma_depression"]


def _contributions(ref, table, key):
    want = ref.matrix(key)
    rows = {frozenset(i): i for i in table.index}
    columns = {frozenset(c): c for c in table.columns}
    got = table.loc[
        [rows[frozenset(r.split(":"))] for r in want.index], [columns[frozenset(c.split(":"))] for c in want.columns]
    ]
    return got.to_numpy(), want.to_numpy()


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
