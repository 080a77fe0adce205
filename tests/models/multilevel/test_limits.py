"""What multilevel models refuse, and intervals that follow their tests."""

import numpy as np
import pytest
from scipy import stats

import comfrey as cf

DATA = {
    "study": [1, 1, 2, 2, 3, 3, 4, 4],
    "time": [1, 2, 1, 2, 1, 2, 1, 2],
    "yi": [0.1, 0.5, 0.3, 0.9, 0.2, 0.7, 0.4, 0.6],
    "vi": [0.04, 0.05, 0.03, 0.08, 0.02, 0.06, 0.05, 0.04],
}


@pytest.mark.parametrize("power", [16, 25, 60, 200, 300])
@pytest.mark.parametrize("random", ["study", "time | study"])
def test_variances_too_far_apart_are_refused(power, random):
    # At 1e-25 the search used to end, without a word, at the one precise effect with no variance between studies.
    with pytest.raises(cf.InputError, match=r"vi_or_V, row 2: expected a variance at most 1e\+14 times smaller"):
        cf.multilevel("yi", [*DATA["vi"][:2], 10.0**-power, *DATA["vi"][3:]], random=random, data=DATA)


def test_variances_that_can_still_be_weighed_together():
    vi = [1e-11, *DATA["vi"][1:]]
    fit = cf.multilevel("yi", vi, random=["effect"], data={**DATA, "effect": range(8)})
    pooled = cf.pool(DATA["yi"], vi, test="z")
    assert fit.sigma2[0] == pytest.approx(pooled.tau2, rel=1e-6)
    assert fit.estimate == pytest.approx(pooled.estimate, rel=1e-6)


def test_errors_that_time_alone_parts():
    V = cf.sampling_covariance("vi", "study", 1, time="time", phi=0.7, data=DATA).toarray()
    assert V[0, 1] == pytest.approx(0.7 * np.sqrt(0.04 * 0.05), rel=1e-14)
    with pytest.raises(cf.InputError, match="rho"):
        cf.sampling_covariance("vi", "study", 1, data=DATA)
    with pytest.raises(cf.InputError, match="positive definite"):
        cf.sampling_covariance("vi", "study", 1, time=[1] * 8, phi=0.7, data=DATA)


@pytest.mark.parametrize(("test", "quantile"), [("z", stats.norm.ppf(0.975)), ("t", stats.t.ppf(0.975, 7))])
def test_predicted_effects_have_the_distribution_of_the_tests(test, quantile):
    yi = [0.1, 0.5, 0.9, 1.3, -0.8, -0.7, 2.0, 1.6]
    table = cf.multilevel(yi, "vi", random="study", data=DATA, test=test).blups()
    np.testing.assert_allclose((table.pi_high - table.estimate) / table.se, quantile, rtol=1e-12)


def test_moderators_need_variances_nearer_to_each_other():
    with pytest.raises(cf.InputError, match="vi_or_V, row 0: expected a variance at most"):
        cf.multilevel("yi", [1e-11, *DATA["vi"][1:]], random="study", moderators="time", data=DATA)


def test_contrasts_with_the_covariance_of_the_model():
    data = {**DATA, "kind": list("abcabcab")}
    for test in ("z", "t"):
        fit = cf.multilevel("yi", "vi", random="study", moderators="kind", data=data, test=test)
        wald = fit.wald(["kind[T.b]", "kind[T.c]"])
        # qm is the chi-squared for z and the F for t; the same test by another way
        assert wald.statistic * (2 if test == "z" else 1) == pytest.approx(fit.qm, rel=1e-10)
        assert wald.p_value == pytest.approx(fit.qm_p, rel=1e-10)
        one = fit.wald([0, 1, 0])
        assert one.statistic == pytest.approx(fit.coefficients["statistic"][1] ** 2, rel=1e-10)
        assert fit.wald([0, 1, 0], null=fit.coefficients["estimate"][1]).statistic == pytest.approx(0, abs=1e-12)
    with pytest.raises(cf.InputError, match="terms among"):
        fit.wald("kind")
