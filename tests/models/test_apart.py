"""Regressions whose variances lie far apart: the weight of the most precise study must not drown the others."""

import numpy as np
import pytest

import comfrey as cf
from comfrey.models._profile import Observed, moments, moments_at
from comfrey.models._profile_apart import moments_apart

YI = np.array([0.1, 0.5, 0.3, 0.9, 0.2, 0.7, 0.4, 0.6])
VI = np.array([0.04, 0.05, 0.03, 0.08, 0.02, 0.06, 0.05, 0.04])
DATA = {"dose": [1, 2, 3, 4, 5, 7, 3, 1]}


@pytest.mark.parametrize("method", ["REML", "PM", "DL", "DL2"])
@pytest.mark.parametrize("row", range(8))
@pytest.mark.parametrize("power", [7, 8, 9])
def test_a_study_ever_more_precise_changes_nothing_any_more(method, row, power):
    # The estimates have a limit (that of ML has not: it is drawn to zero)
    # as one variance goes to zero. REML used to leave it at 3e-8, to end near zero.
    def fit(variance):
        vi = VI.copy()
        vi[row] = variance
        return cf.pool(YI, vi, moderators="dose", data=DATA, method=method)

    near, far = fit(1e-5), fit(10.0**-power)
    # the limit is approached in proportion to the variance, which 1e-5 is: three digits are left of the tau2 here
    assert far.tau2 == pytest.approx(near.tau2, rel=5e-3, abs=1e-9)
    np.testing.assert_allclose(far.beta, near.beta, rtol=5e-3)
    assert far.se_tau2 == pytest.approx(near.se_tau2, rel=5e-3)
    assert far.certificate.global_maximum


def test_the_moments_are_those_of_the_plain_sums_where_these_keep_their_digits():
    rng = np.random.default_rng(1)
    for k, p in [(4, 1), (6, 2), (9, 3), (12, 4)]:
        basis, y, v = np.linalg.qr(rng.normal(size=(k, p)))[0], rng.normal(size=k), rng.uniform(0.1, 1, k)
        tau2 = np.array([0.0, 0.2, 3.0])
        plain = np.transpose(moments(Observed(y, v, basis), tau2.tolist()))
        for one, two in zip(plain, moments_apart(y, v, basis, tau2), strict=True):
            np.testing.assert_allclose(two, one, rtol=1e-10)
        for one, two in zip(moments_at(Observed(y, v, basis, wide=True), 0.2), plain, strict=True):
            np.testing.assert_allclose(one, two[1], rtol=1e-10)


def test_beyond_what_doubles_hold_is_refused():
    with pytest.raises(cf.InputError, match="vi: expected variances at most"):
        cf.pool(YI, [1e-12, *VI[1:]], moderators="dose", data=DATA)
