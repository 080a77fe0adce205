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


FITS = {
    "OR": lambda table: cf.mantel_haenszel("OR", **table),
    "RR": lambda table: cf.mantel_haenszel("RR", **table),
    "RD": lambda table: cf.mantel_haenszel("RD", **table),
    "PETO": lambda table: cf.peto(**table),
}


@pytest.mark.parametrize("measure", FITS)
def test_series_and_subsets_equal_fits_one_by_one(measure):
    table = {name: column[:6] for name, column in bcg().items()}
    make = FITS[measure]
    fit = make(table)
    without, steps, every = fit.leave_one_out(), fit.cumulative(), fit.subsets()
    names = ("estimate", "se", "p_value", "ci_low", "ci_high", "q")
    for i in range(6):
        one = make({name: np.delete(column, i) for name, column in table.items()})
        # closed forms, summed in another order
        assert [getattr(without, name)[i] for name in names] == pytest.approx(
            [getattr(one, name) for name in names], 1e-11
        )
        some = make({name: column[: i + 1] for name, column in table.items()})
        assert (steps.estimate[i], steps.se[i]) == pytest.approx((some.estimate, some.se), rel=1e-11)
    for row in range(len(every)):
        keep = np.array([every.contains(study)[row] for study in range(6)])
        one = make({name: column[keep] for name, column in table.items()})
        assert every.estimate[row] == pytest.approx(one.estimate, rel=1e-11)
        assert every.q[row] == pytest.approx(one.q, rel=1e-9, abs=1e-12)
    assert fit.weights.sum() == pytest.approx(100)


def test_studies_without_an_estimate_of_their_own_are_left_out_and_added_too():
    table = {"events_1": [0, 3, 5], "total_1": [20, 20, 30], "events_2": [0, 6, 4], "total_2": [25, 20, None]}
    fit = cf.mantel_haenszel("OR", **table, study=["none", "some", "gap"])
    assert (fit.k, fit.labels, fit.rows.tolist()) == (2, ("none", "some"), [0, 1])
    found = fit.leave_one_out()
    assert np.isnan(found.estimate).tolist() == [False, True]
    assert "some: without it there is no estimate" in found.notes[0]
    assert found.to_dict()["estimate"][1] is None
    assert fit.cumulative("precision").labels == ("some", "none")
    assert fit.cumulative([2, 1, 7]).labels == ("some", "none")
    assert "1 subsets give no estimate" in fit.subsets().notes[0]
    assert np.isnan(fit.baujat["heterogeneity_share"]["none"])
    with pytest.raises(cf.NotEstimableError, match="at least 2"):
        cf.peto(events_1=[1], total_1=[9], events_2=[2], total_2=[9]).leave_one_out()


def test_sampled_subsets_repeat_and_print():
    fit = cf.mantel_haenszel("RR", **bcg())
    one, two = fit.subsets(50, seed=3), fit.subsets(50, seed=3)
    assert (one.estimate == two.estimate).all()
    assert not one.complete
    assert "common effect by Mantel-Haenszel" in repr(one)
    assert "common effect by Mantel-Haenszel" in repr(fit.leave_one_out())


def test_heterogeneity_leaves_out_studies_without_events_as_metafor_does():
    # rma.mh(measure=m, ai=c(0, 3, 5, 4), n1i=c(20, 20, 30, 9), ci=c(0, 6, 4, 2), n2i=c(25, 20, 33, 8))$QE, and with
    # all events in the first study; rates with the same numbers as person-time (metafor 3.8.1, seven digits printed)
    expected = {"RR": (2.10542, 2.106907), "OR": (2.197723, 2.197723), "RD": (2.33834, 2.33834)}
    for measure, (none, only) in expected.items():
        for first, q in (((0, 0), none), ((20, 25), only)):
            table = {"events_1": [first[0], 3, 5, 4], "events_2": [first[1], 6, 4, 2]}
            fit = cf.mantel_haenszel(measure, **table, total_1=[20, 20, 30, 9], total_2=[25, 20, 33, 8])
            assert fit.q == pytest.approx(q, abs=5e-6)  # printed to seven digits
            assert fit.q_df == 2
            assert "Q leaves out one study that has no estimate alone" in fit.notes
    rates = {"events_1": [0, 3, 5, 4], "time_1": [20, 20, 30, 9], "events_2": [0, 6, 4, 2], "time_2": [25, 20, 33, 8]}
    for measure, q in {"IRR": 1.626762, "IRD": 1.691686}.items():
        assert cf.mantel_haenszel(measure, **rates).q == pytest.approx(q, abs=5e-7)


def test_nothing_but_events_leaves_no_variance():
    with pytest.raises(cf.NotEstimableError, match="no variance"):
        cf.mantel_haenszel("RR", events_1=[10, 8], total_1=[10, 8], events_2=[9, 12], total_2=[9, 12])
