"""Any counts give a certified answer or a clear error, never a warning, a crash or a number without a reason."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import comfrey as cf

ARM = st.integers(1, 3000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
ONE = st.lists(ARM, min_size=1, max_size=12)
TWO = st.lists(st.tuples(ARM, ARM), min_size=1, max_size=6)
MODELS = ("conditional-exact", "conditional-approximate", "fixed-study", "random-study")


def check(measure, arguments, **options):
    try:
        fit = cf.count_model(measure, **arguments, **options)
    except (cf.NotEstimableError, cf.ConvergenceError):
        return
    assert math.isfinite(fit.estimate)
    assert fit.se > 0
    assert fit.gradient_norm < 1e-4
    assert fit.ci_low < fit.estimate < fit.ci_high
    numbers = (fit.tau2, fit.pi_low, fit.pi_high, fit.q_lr)
    if not all(map(math.isfinite, numbers)):
        assert fit.notes
    if math.isfinite(fit.tau2):
        assert fit.tau2 >= 0
        assert fit.pi_low <= fit.ci_low + 1e-9
        assert fit.quadrature_error < 1e-4
    if math.isfinite(fit.q_lr):
        assert fit.q_lr >= 0
    assert fit.k + len(fit.excluded) == len(next(iter(arguments.values())))
    assert fit.to_dict()["estimate"] == fit.estimate


def arms(studies, size):
    table = np.array(studies)
    return {
        "events_1": table[:, 0, 0],
        f"{size}_1": table[:, 0, 1],
        "events_2": table[:, 1, 0],
        f"{size}_2": table[:, 1, 1],
    }


@settings(max_examples=25, deadline=None)
@given(ONE, st.sampled_from(["binomial-normal", "beta-binomial"]))
def test_any_proportions(studies, model):
    cases, total = zip(*studies, strict=True)
    check("PLO", {"cases": cases, "total": total}, model=model)


@settings(max_examples=15, deadline=None)
@given(ONE)
def test_any_rates(studies):
    events, time = zip(*studies, strict=True)
    check("IRLN", {"events": events, "time": time})


@settings(max_examples=25, deadline=None)
@given(TWO, st.sampled_from(MODELS), st.booleans())
def test_any_two_arms(studies, model, rates):
    if rates and model == "conditional-approximate":
        return
    check("IRR" if rates else "OR", arms(studies, "time" if rates else "total"), model=model)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(ONE, TWO, st.sampled_from(MODELS))
def test_any_counts_at_length(one, two, model):
    cases, total = zip(*one, strict=True)
    check("PLO", {"cases": cases, "total": total})
    check("PLO", {"cases": cases, "total": total}, model="beta-binomial")
    check("OR", arms(two, "total"), model=model)
