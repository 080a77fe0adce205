"""Numbers as printed in papers."""

import json
from pathlib import Path

import numpy as np
import pytest

import comfrey as cf

REFERENCE = Path(__file__).parents[1] / "reference"

# Diuretics and pre-eclampsia: Collins, Yusuf & Peto 1985 (doi:10.1136/bmj.290.6461.17)
DIURETICS = {
    "events_1": [14, 21, 14, 6, 12, 138, 15, 6, 65],
    "total_1": [131, 385, 57, 38, 1011, 1370, 506, 108, 153],
    "events_2": [14, 17, 24, 18, 35, 175, 20, 2, 40],
    "total_2": [136, 134, 48, 40, 760, 1336, 524, 103, 102],
}


def test_intervals_of_tau2_for_the_diuretics_trials():
    # Viechtbauer 2007 (doi:10.1002/sim.2514), Table II
    sizes = cf.effect_sizes("OR", **DIURETICS)
    fit = cf.pool(sizes)
    assert fit.tau2_interval("q-profile") == pytest.approx((0.0723, 2.2027), abs=5e-5)
    assert fit.tau2_interval("profile-likelihood") == pytest.approx((0.0427, 1.4747), abs=5e-5)
    ml = cf.pool(sizes, method="ML")
    # the paper prints .0266 for .02654
    assert ml.tau2_interval("profile-likelihood") == pytest.approx((0.0266, 1.1308), abs=1e-4)


def test_generalised_q_interval_has_the_exact_law_of_q():
    # the share of Q below the observed one at either end, by simulation
    sizes = cf.effect_sizes("OR", **DIURETICS)
    fit = cf.pool(sizes, method="DL")
    rng = np.random.default_rng(0)
    w = 1 / sizes.vi
    for end, share in zip(fit.tau2_interval("generalised-q"), (0.975, 0.025), strict=True):
        y = rng.normal(0, np.sqrt(sizes.vi + end), (40_000, 9))
        q = (y - (y @ w / w.sum())[:, None]) ** 2 @ w
        assert np.mean(q <= fit.q) == pytest.approx(share, abs=0.004)


def test_length_of_stay():
    # Normand 1999 (doi:10.1002/(SICI)1097-0258(19990215)18:3<321::AID-SIM28>3.0.CO;2-P), Tables VIII and IX
    data = json.loads((REFERENCE / "escalc_cont_stay.json").read_text(encoding="utf-8"))["data"]
    m1, s1, n1, m2, s2, n2 = (
        np.array(data[name], dtype=float) for name in ("m1i", "sd1i", "n1i", "m2i", "sd2i", "n2i")
    )
    # the paper takes one variance for both groups
    pooled = ((n1 - 1) * s1**2 + (n2 - 1) * s2**2) / (n1 + n2 - 2)
    yi, vi = m1 - m2, pooled * (1 / n1 + 1 / n2)
    assert cf.pool(yi, vi, method="EE", test="z").estimate == pytest.approx(-3.4939, abs=5e-5)
    dl = cf.pool(yi, vi, method="DL", test="z")
    assert dl.estimate == pytest.approx(-14.0972, abs=5e-5)
    assert dl.tau2 == pytest.approx(218.72, abs=5e-3)
    assert cf.pool(yi, vi, method="REML", test="z").tau2 == pytest.approx(685.20, abs=5e-3)


def test_teacher_expectancy():
    # Raudenbush 1985 and 2009, Tables 16.2 and 16.3 (The handbook of research synthesis and meta-analysis)
    data = json.loads((REFERENCE / "pool_expectancy.json").read_text(encoding="utf-8"))["data"]
    fit = cf.pool(data["yi"], data["vi"], test="z")
    assert fit.tau2 == pytest.approx(0.0188, abs=5e-5)
    assert fit.estimate == pytest.approx(0.0837, abs=5e-5)
    assert fit.q == pytest.approx(35.83, abs=5e-3)


def test_bcg_vaccine():
    # van Houwelingen, Arends & Stijnen 2002 (doi:10.1002/sim.1040): ML of the log odds ratios, tau2 0.302
    data = json.loads((REFERENCE / "escalc_2x2_bcg.json").read_text(encoding="utf-8"))["data"]
    a, b, c, d = (np.array(data[name], dtype=float) for name in ("ai", "bi", "ci", "di"))
    fit = cf.pool(cf.effect_sizes("OR", events_1=a, total_1=a + b, events_2=c, total_2=c + d), method="ML", test="z")
    assert fit.tau2 == pytest.approx(0.3025, abs=5e-5)
    assert fit.estimate == pytest.approx(-0.742, abs=5e-4)
