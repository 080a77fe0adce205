"""The search for tau2 checked in exact rational arithmetic, where double precision has traps."""

from fractions import Fraction

import numpy as np
import pytest

import comfrey as cf


def exact_score(yi, vi, tau2, restricted):
    """Twice the derivative of the log-likelihood, without rounding."""
    y, v, t = [Fraction(float(x)) for x in yi], [Fraction(float(x)) for x in vi], Fraction(tau2)
    w = [1 / (x + t) for x in v]
    total = sum(w)
    mu = sum(a * b for a, b in zip(w, y, strict=True)) / total
    squares = sum((a * (b - mu)) ** 2 for a, b in zip(w, y, strict=True))
    return squares - (total - (sum(a * a for a in w) / total if restricted else 0))


@pytest.mark.parametrize("spread", [0, 2, 5, 8, 12])
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_the_score_changes_its_sign_at_the_estimate(spread, offset, method):
    rng = np.random.default_rng(spread)
    for _ in range(5):
        vi = 10.0 ** rng.uniform(-spread, 0, 5)
        yi = offset + rng.normal(0, 1.5, 5)
        fit = cf.pool(yi, vi, method=method, test="z")
        if fit.tau2 == 0:
            assert exact_score(yi, vi, 0.0, method == "REML") <= 0
        else:
            # centred estimates keep their digits: an offset of a million costs none
            assert exact_score(yi, vi, fit.tau2 * (1 - 1e-9), method == "REML") > 0
            assert exact_score(yi, vi, fit.tau2 * (1 + 1e-9), method == "REML") < 0


@pytest.mark.parametrize("method", ["DL", "PM"])
def test_moment_estimates_with_one_drowning_weight(method):
    vi = np.array([1e-14, 1.0, 2.0, 1.5])
    yi = np.array([0.3, 2.0, -3.0, 1.0])
    y, v = [Fraction(float(x)) for x in yi], [Fraction(float(x)) for x in vi]
    found = cf.pool(yi, vi, method=method, test="z").tau2
    if method == "PM":
        w = [1 / (x + Fraction(found)) for x in v]
        mu = sum(a * b for a, b in zip(w, y, strict=True)) / sum(w)
        assert float(sum(a * (b - mu) ** 2 for a, b in zip(w, y, strict=True))) == pytest.approx(3, rel=1e-10)
        return
    w = [1 / x for x in v]
    mu = sum(a * b for a, b in zip(w, y, strict=True)) / sum(w)
    q = sum(a * (b - mu) ** 2 for a, b in zip(w, y, strict=True))
    expected = (q - 3) / (sum(w) - sum(a * a for a in w) / sum(w))
    assert found == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize(
    ("yi", "vi", "message"),
    [
        ([1.0, 2.0], [1e-40, 1.0], "fold of each other"),
        ([1e200, 2.0], [1.0, 1.0], "squares are below 1e300"),
        ([1.0, 2.0], [1e-130, 1e-130], "1e60 standard errors apart"),
    ],
)
def test_data_beyond_double_precision_are_refused(yi, vi, message):
    with pytest.raises(cf.InputError, match=message):
        cf.pool(yi, vi)
    with pytest.raises(cf.InputError, match=message):
        cf.pool_many(yi, vi, [0, 0])


@pytest.mark.parametrize("method", ["DL", "DL2", "HE", "HS", "SJ", "PM", "REML", "ML", "EB"])
def test_a_regression_dominated_by_one_study_has_a_standard_error_of_tau2(method):
    # the study with all the weight made differences of sums negative, and their root not a number
    variances = np.array([1.0, 2.0, 1e-6])
    fit = cf.pool([0.0, 0.0, 6.0], variances, moderators="x", data={"x": np.sqrt(variances)}, method=method)
    assert np.isfinite(fit.se_tau2)
    assert fit.se_tau2 > 0


def test_the_spread_of_dersimonian_and_laird_in_a_regression_is_the_dense_one():
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=8), rng.uniform(0.1, 1, 8)
    fit = cf.pool(rng.normal(size=8), v, moderators="x", data={"x": x}, method="DL")
    X, W = np.column_stack([np.ones(8), x]), np.diag(1 / v)
    P = W - W @ X @ np.linalg.solve(X.T @ W @ X, X.T @ W)
    S = np.diag(v + fit.tau2)
    assert fit.se_tau2 == pytest.approx(np.sqrt(2 * np.trace(P @ S @ P @ S)) / np.trace(P), rel=1e-10)
