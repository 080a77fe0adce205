"""Properties of pooling; its reference values are in the parity ledger."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import comfrey as cf

REFERENCE = Path(__file__).parents[1] / "reference"
METHODS = ("EE", "DL", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM")


def load(name):
    content = json.loads((REFERENCE / f"pool_{name}.json").read_text(encoding="utf-8"))
    data = content["data"]
    return np.array(data["yi"], dtype=float), np.array(data["vi"], dtype=float), content["results"]


def test_two_step_moment_estimate_by_hand():
    # DerSimonian & Kacker 2007: the general moment estimate with weights from the first step
    yi, vi, _ = load("bcg_logrr")
    w = 1 / (vi + cf.pool(yi, vi, method="DL").tau2)
    mu = np.sum(w * yi) / np.sum(w)
    q = np.sum(w * (yi - mu) ** 2)
    expected = (q - (np.sum(w * vi) - np.sum(w**2 * vi) / np.sum(w))) / (np.sum(w) - np.sum(w**2) / np.sum(w))
    assert cf.pool(yi, vi, method="DL2").tau2 == pytest.approx(expected, rel=1e-12)


def test_effect_sizes_carry_their_measure_into_the_reading_scale():
    sizes = cf.effect_sizes("RR", events_1=[4, 6], total_1=[123, 306], events_2=[11, 29], total_2=[139, 303])
    fit = cf.pool(sizes)
    assert fit.measure == "RR"
    assert fit.reading.estimate == pytest.approx(math.exp(fit.estimate))
    assert fit.reading.scale == "ratio"


def test_double_arcsine_pools_back_by_the_harmonic_mean():
    # Miller 1978 by hand
    sizes = cf.effect_sizes("PFT", cases=[3, 10, 25], total=[30, 20, 50])
    fit = cf.pool(sizes)
    n = 3 / (1 / 30 + 1 / 20 + 1 / 50)
    sine, cosine = math.sin(2 * fit.estimate), math.cos(2 * fit.estimate)
    expected = 0.5 * (1 - math.copysign(1, cosine) * math.sqrt(1 - (sine + (sine - 1 / sine) / n) ** 2))
    assert fit.reading.estimate == pytest.approx(expected, rel=1e-12)


def test_one_study_is_its_own_summary_and_says_so():
    fit = cf.pool([0.5], [0.04])
    assert (fit.estimate, fit.test_used, fit.k) == (0.5, "z", 1)
    assert fit.ci_low == pytest.approx(0.5 - 1.959964 * 0.2)
    assert math.isnan(fit.tau2)
    assert "one study" in fit.notes[0]
    assert fit.to_dict()["tau2"] is None


def test_two_studies():
    fit = cf.pool([0.0, 4.0], [1.0, 1.0])
    assert fit.tau2 == pytest.approx(7.0)
    assert fit.df == 1
    assert math.isnan(cf.pool([0.0, 4.0], [1.0, 1.0], prediction="k-2").pi_low)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "EE"])
def test_equal_estimates_have_no_heterogeneity(method):
    fit = cf.pool([0.3] * 5, [0.1, 0.2, 0.3, 0.1, 0.2], method=method)
    assert fit.tau2 == 0.0
    assert fit.se == 0.0
    assert math.isnan(fit.statistic)
    assert any("all equal" in note for note in fit.notes)
    assert cf.pool([0.3] * 5, [0.1] * 5, method=method, test="hk-adhoc").se > 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("factor", [1e-145, 1e-30, 1e30, 1e145])
def test_results_scale_with_the_data_from_tiny_to_huge(method, factor):
    yi, vi, _ = load("bcg_logrr")
    one, other = cf.pool(yi, vi, method=method), cf.pool(yi * factor, vi * factor**2, method=method)
    assert other.estimate / factor == pytest.approx(one.estimate, rel=1e-9)
    assert other.tau2 / factor**2 == pytest.approx(one.tau2, rel=1e-9)
    assert other.i2 == pytest.approx(one.i2, rel=1e-9)
    shift = (len(yi) - (method == "REML")) * math.log(factor)
    assert other.log_likelihood == pytest.approx(one.log_likelihood - shift, rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_shift_moves_the_estimate_alone_and_order_does_not_matter(method):
    yi, vi, _ = load("stay_smd")
    order = np.random.default_rng(3).permutation(len(yi))
    one, other = cf.pool(yi, vi, method=method), cf.pool(yi[order] + 10, vi[order], method=method)
    assert other.estimate == pytest.approx(one.estimate + 10, rel=1e-9)
    assert other.tau2 == pytest.approx(one.tau2, rel=1e-8)
    assert other.se == pytest.approx(one.se, rel=1e-8)


def test_a_study_without_information_changes_nothing():
    yi, vi, _ = load("bcg_logrr")
    one, other = cf.pool(yi, vi, method="ML"), cf.pool([*yi, 0.7], [*vi, 1e12], method="ML")
    assert other.estimate == pytest.approx(one.estimate, rel=1e-9)
    assert other.tau2 == pytest.approx(one.tau2, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [0.1, 0.0]), "vi, row 1: expected a variance above zero, found 0"),
        (([1, 2], [0.1, -1]), "vi, row 1: expected a variance above zero, found -1"),
        (([1, np.inf], [0.1, 1]), "yi, row 1: expected a finite number"),
        (([1, 2], [0.1, 1, 2]), "vi: expected 2, as many as yi, found 3 values"),
        (([], []), "yi: expected at least one study"),
        (([np.nan], [1.0]), "no usable study"),
        (([1, 2],), "vi: expected the sampling variances"),
        ((["a", "b"], [1, 2]), "yi, row 0: expected numbers"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(cf.InputError, match=message):
        cf.pool(*arguments)


@pytest.mark.parametrize("bad", [{"method": "XX"}, {"test": "F"}, {"level": 95}, {"tau2": -1.0}, {"prediction": "k-3"}])
def test_unknown_choices_are_refused(bad):
    with pytest.raises(cf.InputError, match=next(iter(bad))):
        cf.pool([1, 2], [1, 1], **bad)


def test_rows_with_gaps_are_left_out_and_listed():
    fit = cf.pool([1, np.nan, 2, 3], [1, 1, 1, None], study=["a", "b", "c", "d"])
    assert fit.k == 2
    assert fit.labels == ("a", "c")
    assert fit.dropped == ("row 1 (b): yi or vi missing", "row 3 (d): yi or vi missing")
    assert "left out: row 1 (b)" in repr(fit)


def test_a_fixed_tau2_is_used():
    fit = cf.pool([0.1, 0.9], [0.1, 0.2], tau2=0.3, test="z")
    w = np.array([1 / 0.4, 1 / 0.5])
    assert fit.tau2 == pytest.approx(0.3)
    assert fit.estimate == pytest.approx(np.sum(w * [0.1, 0.9]) / w.sum())


def test_the_higher_of_two_maxima_is_found():
    # two groups of studies of very different precision make a likelihood with two peaks
    yi = np.array([0.0, 0.03, -0.03, 0.02, -0.02, 40.0, -40.0])
    vi = np.array([1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 50.0, 50.0])
    fit = cf.pool(yi, vi, test="z")
    grid = np.concatenate([[0.0], np.geomspace(1e-8, 1e5, 4000)])
    best = max(cf.pool(yi, vi, test="z", tau2=t, method="REML").log_likelihood for t in grid[::8])
    assert fit.log_likelihood >= best - 1e-9
    assert fit.certificate.global_maximum


finite = st.floats(-50, 50, allow_nan=False)
positive = st.floats(-6, 4).map(lambda x: 10.0**x)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(finite, positive), min_size=2, max_size=12), st.sampled_from(["REML", "ML"]))
def test_no_point_of_a_fine_scan_beats_the_maximum(rows, method):
    yi, vi = np.array(rows).T
    fit = cf.pool(yi, vi, method=method, test="z")
    top = max(1e-12, 10 * fit.tau2, 10 * np.ptp(yi) ** 2)
    scan = [
        cf.pool(yi, vi, method=method, test="z", tau2=t).log_likelihood
        for t in [0, *np.geomspace(1e-12 * top, top, 40)]
    ]
    assert fit.log_likelihood >= max(scan) - 1e-8 * max(1.0, abs(fit.log_likelihood))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(finite, positive), min_size=2, max_size=12), st.sampled_from(METHODS))
def test_every_number_is_finite_or_explained(rows, method):
    yi, vi = np.array(rows).T
    fit = cf.pool(yi, vi, method=method)
    assert fit.tau2 >= 0
    for value in (fit.estimate, fit.se, fit.ci_low, fit.ci_high, fit.i2, fit.h2, fit.q, fit.log_likelihood):
        assert math.isfinite(value)
    if any(math.isnan(value) for value in (fit.statistic, fit.pi_low, fit.se_tau2)):
        assert fit.notes


def test_criteria_are_those_of_metafor():
    # fitstats(rma(yi, vi, method=m)) and, last, fitstats(rma(yi, vi, mods=~x)); metafor 3.8.1, five decimals printed
    yi = [-0.9, -1.6, -1.3, -1.4, -0.2, -0.8, -1.6, 0, -0.5, -1.4, -0.3, 0.4, 0]
    vi = [0.3, 0.2, 0.4, 0.02, 0.05, 0.007, 0.2, 0.004, 0.06, 0.07, 0.01, 0.5, 0.07]
    x = {"x": [44, 55, 42, 52, 13, 44, 19, 13, 27, 42, 18, 33, 33]}
    expected = {
        "REML": (28.23363, 29.20344),
        "ML": (29.15206, 30.28196),
        "DL": (29.15743, 30.28732),
        "EE": (139.16514, 139.73009),
    }
    for method, criteria in expected.items():
        fit = cf.pool(yi, vi, method=method)
        assert (fit.aic, fit.bic) == pytest.approx(criteria, abs=6e-6)
    fit = cf.pool(yi, vi, moderators="x", data=x)
    assert (fit.aic, fit.bic) == pytest.approx((22.160269, 23.353954), abs=6e-6)
    held = cf.pool(yi, vi, tau2=0.1, method="ML")
    assert held.aic == pytest.approx(2 - 2 * held.log_likelihood)
    assert cf.pool([0.1], [0.2]).to_dict()["aic"] is None


@pytest.mark.parametrize("method", ["REML", "ML", "DL", "EB", "SJ", "HE", "PMM", "EE"])
def test_plain_numbers_and_arrays_give_the_same(method, monkeypatch):
    rng = np.random.default_rng(11)
    sets = [
        (rng.normal(0.3, rng.uniform(0, 2), k) * scale, rng.uniform(0.01, 1, k) ** rng.integers(1, 4) * scale**2)
        for k in (2, 3, 5, 10, 25)
        for scale in (1.0, 1e-30, 1e40)
    ]
    few = [cf.pool(yi, vi, method=method) for yi, vi in sets]
    monkeypatch.setattr("comfrey.models._observed.FEW", 0)
    for (yi, vi), plain in zip(sets, few, strict=True):
        array = cf.pool(yi, vi, method=method)
        scale = float(np.sqrt(vi.min()))
        # the same sums in another order: rounding alone, and of tau2 next to zero
        assert plain.tau2 == pytest.approx(array.tau2, rel=1e-11, abs=1e-13 * scale**2)
        for name in ("estimate", "se", "ci_low", "pi_high"):
            assert getattr(plain, name) == pytest.approx(
                getattr(array, name), rel=1e-11, abs=1e-12 * scale, nan_ok=True
            )
        for name in ("q", "i2", "h2", "log_likelihood", "p_value"):
            assert getattr(plain, name) == pytest.approx(getattr(array, name), rel=1e-10, abs=1e-10)
        assert plain.certificate.global_maximum == array.certificate.global_maximum
        assert plain.certificate.local_maxima == array.certificate.local_maxima
