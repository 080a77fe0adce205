"""Any data at all: an answer, or an error that says what to do; never a warning, never a number gone without a word."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import comfrey as cf

METHODS = ("EE", "DL", "DL2", "HE", "HS", "HSk", "SJ", "ML", "REML", "EB", "PM", "PMM")
TESTS = ("z", "t", "hk", "hk-adhoc")

# Ties and equal values are likely; so are estimates far apart, and variances of very different size.
value = st.one_of(st.sampled_from([0.0, 1.0, -1.0, 1.0, 2.5]), st.floats(-50, 50), st.floats(-1e-9, 1e-9))
spread = st.one_of(st.sampled_from([1.0, 1.0, 0.01]), st.floats(-7, 5).map(lambda x: 10.0**x))
studies = st.lists(st.tuples(value, spread), min_size=1, max_size=8)
# of the estimates; the variances go with its square
power = st.one_of(st.just(0), st.integers(-150, 150))


def numbers(found):
    """Every public number of a result, by name."""
    for item in dataclasses.fields(found):
        if item.name.startswith("_"):
            continue
        inside = getattr(found, item.name)
        if isinstance(inside, (float, np.floating)) or (isinstance(inside, np.ndarray) and inside.dtype.kind == "f"):
            yield item.name, np.asarray(inside)


def explained(found):
    """Hold a result to its word: what is not finite is explained, it prints, and it is plain JSON."""
    gone = [name for name, values in numbers(found) if not np.isfinite(values).all()]
    assert not gone or found.notes or getattr(found, "dropped", ()), (gone, found)
    assert repr(found)
    found.to_dict()
    return found


def scaled(rows, exponent):
    yi, vi = np.array(rows, dtype=float).T
    return yi * 10.0**exponent, vi * 10.0 ** (2 * exponent) if abs(exponent) < 150 else vi * 10.0 ** (1.99 * exponent)


def either(call):
    """Call: a result, or an error of ours with words in it."""
    try:
        return call()
    except cf.ComfreyError as error:
        words = str(error)
    assert len(words) > 20
    return None


def check_pool(rows, exponent, method, test):
    yi, vi = scaled(rows, exponent)
    fit = either(lambda: cf.pool(yi, vi, method=method, test=test))
    if fit is None:
        return
    explained(fit)
    assert fit.tau2 >= 0 or fit.k == 1
    assert fit.ci_low <= fit.estimate <= fit.ci_high or math.isnan(fit.ci_low)
    slack = 1e-9 * max(abs(yi).max(), 1e-300)
    assert yi.min() - slack <= fit.estimate <= yi.max() + slack
    for diagnose in (fit.influence, fit.leave_one_out, fit.cumulative, fit.blups, lambda: fit.subsets(40)):
        found = either(diagnose)
        if found is not None:
            explained(found)
    for kind in ("q-profile", "profile-likelihood"):
        ends = either(lambda kind=kind: fit.tau2_interval(kind))
        if ends is not None:
            assert ends[0] >= 0


def check_regression(rows, exponent, method, test, moderator):
    yi, vi = scaled(rows, exponent)
    x = np.resize(np.array(moderator, dtype=float), yi.size)
    fit = either(lambda: cf.pool(yi, vi, moderators="x", data={"x": x}, method=method, test=test))
    if fit is None:
        return
    explained(fit)
    for diagnose in (fit.influence, fit.leave_one_out, fit.cumulative, fit.blups, lambda: fit.subsets(40)):
        found = either(diagnose)
        if found is not None:
            explained(found)
    either(lambda: fit.predict({"x": [0.0, 1.0]}))


def check_groups(rows, exponent, method, test):
    yi, vi = scaled(rows, exponent)
    groups = np.arange(yi.size) % 3
    found = either(lambda: cf.subgroups(yi, vi, groups=groups, method=method, test=test))
    if found is not None:
        assert repr(found)
        found.to_dict()
    either(lambda: cf.pool_many(yi, vi, groups, method=method, test=test))


def check_tables(table, measure):
    columns = dict(zip(("events_1", "total_1", "events_2", "total_2"), np.array(table, dtype=float).T, strict=True))
    if measure.startswith("IR"):
        columns = {name.replace("total", "time"): values for name, values in columns.items()}
    call = (lambda: cf.peto(**columns)) if measure == "PETO" else (lambda: cf.mantel_haenszel(measure, **columns))
    fit = either(call)
    if fit is None:
        return
    explained(fit)
    for diagnose in (fit.leave_one_out, fit.cumulative, lambda: fit.subsets(40)):
        found = either(diagnose)
        if found is not None:
            explained(found)
    either(lambda: fit.baujat)


methods, tests = st.sampled_from(METHODS), st.sampled_from(TESTS)
moderators = st.lists(
    st.one_of(st.sampled_from([0.0, 1.0]), st.floats(-1e6, 1e6), st.floats(-1e-6, 1e-6)), min_size=1, max_size=8
)
arm = st.integers(1, 60).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
tables = st.lists(st.tuples(arm, arm).map(lambda two: (*two[0], *two[1])), min_size=1, max_size=7)
measures = st.sampled_from(["OR", "RR", "RD", "IRR", "IRD", "PETO"])


@settings(max_examples=60)
@given(studies, power, methods, tests)
def test_any_studies(rows, exponent, method, test):
    check_pool(rows, exponent, method, test)


@settings(max_examples=30)
@given(studies, power, methods, tests, moderators)
def test_any_regression(rows, exponent, method, test, moderator):
    check_regression(rows, exponent, method, test, moderator)


@settings(max_examples=30)
@given(studies, power, methods, tests)
def test_any_groups(rows, exponent, method, test):
    check_groups(rows, exponent, method, test)


@settings(max_examples=60)
@given(tables, measures)
def test_any_tables(table, measure):
    check_tables(table, measure)


@pytest.mark.slow
@settings(max_examples=400)
@given(studies, power, methods, tests, moderators)
def test_any_studies_at_length(rows, exponent, method, test, moderator):
    check_pool(rows, exponent, method, test)
    check_regression(rows, exponent, method, test, moderator)
    check_groups(rows, exponent, method, test)


@pytest.mark.slow
@settings(max_examples=400)
@given(tables, measures)
def test_any_tables_at_length(table, measure):
    check_tables(table, measure)


@pytest.mark.parametrize("exponent", [-300, -200, -154, -100, 100, 154, 200, 300])
@pytest.mark.parametrize("method", METHODS)
def test_scales_of_the_variances_alone(exponent, method):
    # 1e-300 to 1e300: an answer with finite numbers, or an error of ours
    vi = np.array([1.0, 2.0, 0.5]) * 10.0**exponent
    for yi in (np.array([0.1, 0.5, 0.3]), np.zeros(3), np.sqrt(vi) * [1.0, -2.0, 0.5]):
        fit = either(lambda yi=yi: cf.pool(yi, vi, method=method))
        if fit is not None:
            explained(fit)
            for diagnose in (fit.influence, fit.leave_one_out, fit.subsets):
                explained(diagnose())


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
def test_moderators_beyond_double_precision_are_refused(size):
    with pytest.raises(cf.InputError, match="Change the unit"):
        cf.pool([0.1, 0.5, 0.3, 0.2], 0.1, moderators="x", data={"x": np.array([0.0, 1.0, 2.0, 5.0]) * size})
