"""Mantel-Haenszel and Peto estimates; their reference values are in the parity ledger."""

import json
from pathlib import Path

import numpy as np
import pytest

import comfrey as cf

REFERENCE = Path(__file__).parents[1] / "reference"
CONTENT = json.loads((REFERENCE / "mh_peto.json").read_text(encoding="utf-8"))


def bcg():
    a, b, c, d = (np.array(CONTENT["data"]["bcg"][name], dtype=float) for name in ("ai", "bi", "ci", "di"))
    return {"events_1": a, "total_1": a + b, "events_2": c, "total_2": c + d}


def test_rate_difference_of_one_study_is_its_own():
    one = {"events_1": [9], "time_1": [413], "events_2": [19], "time_2": [398]}
    fit, own = cf.mantel_haenszel("IRD", **one), cf.effect_sizes("IRD", **one)
    assert fit.estimate == pytest.approx(own.yi[0])
    assert fit.se**2 == pytest.approx(own.vi[0])


@pytest.mark.parametrize("measure", ["RR", "OR", "RD"])
def test_swapping_the_arms_flips_the_sign(measure):
    table = bcg()
    swapped = {name.translate(str.maketrans("12", "21")): column for name, column in table.items()}
    one, two = cf.mantel_haenszel(measure, **table), cf.mantel_haenszel(measure, **swapped)
    assert one.estimate == pytest.approx(-two.estimate)
    assert one.se == pytest.approx(two.se)


def test_a_study_without_events_changes_ratios_not_at_all():
    table = bcg()
    more = {name: np.append(column, 50.0 if name.startswith("total") else 0.0) for name, column in table.items()}
    for measure in ("RR", "OR"):
        one, two = cf.mantel_haenszel(measure, **table), cf.mantel_haenszel(measure, **more)
        assert (one.estimate, one.se) == pytest.approx((two.estimate, two.se))
    assert cf.peto(**more).estimate == pytest.approx(cf.peto(**table).estimate)


def test_missing_rows_are_listed_and_empty_groups_refused():
    fit = cf.mantel_haenszel("OR", events_1=[4, 3], total_1=[20, None], events_2=[5, 4], total_2=[20, 20])
    assert fit.k == 1
    assert fit.dropped == ("row 1: no estimate: total_1 missing",)
    nothing = {"events_1": [0, 0], "total_1": [20, 20], "events_2": [5, 4], "total_2": [20, 20]}
    for measure in ("OR", "RR"):
        with pytest.raises(cf.NotEstimableError, match="no events"):
            cf.mantel_haenszel(measure, **nothing)
    with pytest.raises(cf.NotEstimableError, match="no study has both"):
        cf.peto(events_1=[0], total_1=[5], events_2=[0], total_2=[5])
    with pytest.raises(cf.InputError, match="OR, RR, RD"):
        cf.mantel_haenszel("SMD", **nothing)
    with pytest.raises(cf.InputError, match="which this method needs"):
        cf.mantel_haenszel("OR", estimate=[1.0], se=[1.0])


def test_result_prints_and_turns_into_plain_values():
    fit = cf.mantel_haenszel("OR", **bcg())
    assert "Mantel-Haenszel estimate: log of the odds ratio" in repr(fit)
    assert json.loads(json.dumps(fit.to_dict()))["measure"] == "OR"
    assert fit.reading[0] == pytest.approx(np.exp(fit.estimate))


def test_all_people_with_the_event_leave_no_variance():
    full = {"events_1": [10, 8], "total_1": [10, 8], "events_2": [9, 12], "total_2": [9, 12]}
    with pytest.raises(cf.NotEstimableError, match="no variance"):
        cf.mantel_haenszel("RR", **full)
