"""From arms to comparisons: the formulas, the covariance in multi-arm studies, what is dropped and adjusted."""

import numpy as np
import pandas as pd
import pytest

from comfrey.errors import InputError
from comfrey.models.network import contrasts, network


def arms(ref, columns, treatment, study=None):
    """One row an arm from netmeta's wide tables."""
    d = ref.data["arms"]
    rows = []
    for i in range(len(d[f"{treatment}1"])):
        for j in (1, 2, 3):
            name = d[f"{treatment}{j}"][i]
            values = {new: d[f"{old}{j}"][i] for new, old in columns.items()}
            if name in (None, "", "NA") or None in values.values():
                continue
            rows.append({"study": d[study][i] if study else i + 1, "treatment": name, **values})
    return pd.DataFrame(rows)


MEANS = {"mean": "m", "sd": "s", "n": "n"}


@pytest.mark.parametrize(
    ("name", "columns", "treatment", "study", "measure", "words"),
    [
        ("nma_smoking", {"x": "event", "n": "n"}, "treat", None, "OR", {"events": "x", "total": "n"}),
        ("nma_depression", {"x": "resp", "n": "n"}, "treatment", "id", "OR", {"events": "x", "total": "n"}),
        (
            "nma_parkinson",
            {"m": "y", "s": "sd", "n": "n"},
            "Treatment",
            None,
            "MD",
            {"mean": "m", "sd": "s", "n": "n"},
        ),
    ],
)
def test_networks_from_arms_are_netmeta_s(reference, name, columns, treatment, study, measure, words):
    ref = reference(name)
    made = contrasts(arms(ref, columns, treatment, study), measure, **words)
    net = network(made, method="DL")
    assert net.measure == measure
    want = ref.matrix("TE_random")
    np.testing.assert_allclose(net.effects.loc[want.index, want.columns], want, rtol=1e-9, atol=1e-11)
    want = ref.matrix("seTE_random")
    np.testing.assert_allclose(net.standard_errors.loc[want.index, want.columns], want, rtol=1e-9, atol=1e-11)
    assert sorted(made.vi) == pytest.approx(sorted(np.square(ref.data["seTE"])), rel=1e-10)


FRAME = pd.DataFrame(
    {
        "study": ["s"] * 3,
        "treatment": ["A", "B", "C"],
        "x": [10, 20, 5],
        "n": [50, 60, 40],
        "t": [100.0, 90.0, 80.0],
        "m": [5.0, 6.0, 4.0],
        "s": [1.0, 1.5, 2.0],
    }
)


@pytest.mark.parametrize(
    ("measure", "words", "y", "v"),
    [
        ("OR", {"events": "x", "total": "n"}, np.log(10 / 40 / (20 / 40)), 1 / 10 + 1 / 40 + 1 / 20 + 1 / 40),
        ("RR", {"events": "x", "total": "n"}, np.log(10 / 50 / (20 / 60)), 1 / 10 - 1 / 50 + 1 / 20 - 1 / 60),
        ("RD", {"events": "x", "total": "n"}, 0.2 - 1 / 3, 0.2 * 0.8 / 50 + (1 / 3) * (2 / 3) / 60),
        ("IRR", {"events": "x", "time": "t"}, np.log(0.1 / (20 / 90)), 1 / 10 + 1 / 20),
        ("IRD", {"events": "x", "time": "t"}, 0.1 - 20 / 90, 10 / 100**2 + 20 / 90**2),
        ("MD", {"mean": "m", "sd": "s", "n": "n"}, -1.0, 1 / 50 + 2.25 / 60),
        ("ROM", {"mean": "m", "sd": "s", "n": "n"}, np.log(5 / 6), 1 / (50 * 25) + 2.25 / (60 * 36)),
    ],
)
def test_formulas(measure, words, y, v):
    made = contrasts(FRAME, measure, **words)
    assert (made.yi[0], made.vi[0]) == (pytest.approx(y), pytest.approx(v))
    assert (made.treat_1[0], made.treat_2[0]) == ("A", "B")
    # Comparisons add up, and so does the covariance: var(A - B) from the two others.
    assert made.yi[0] + made.yi[2] == pytest.approx(made.yi[1])
    network(made)


def test_standardised_differences_of_two_arms_are_hedges_g():
    two = FRAME.iloc[:2]
    made = contrasts(two, "SMD", mean="m", sd="s", n="n")
    sd = np.sqrt((49 * 1.0 + 59 * 2.25) / 108)
    from scipy.special import gamma

    j = gamma(54) / (np.sqrt(54) * gamma(53.5))
    g = -j / sd
    assert made.yi[0] == pytest.approx(g, rel=1e-10)
    assert made.vi[0] == pytest.approx(1 / 50 + 1 / 60 + g**2 / (2 * 110), rel=1e-10)


def test_standardised_differences_of_three_arms_have_gleser_and_olkin_s_covariance():
    made = contrasts(FRAME, "SMD", mean="m", sd="s", n="n")
    assert made.yi[0] + made.yi[2] == pytest.approx(made.yi[1])
    covariance = 0.5 * (made.vi[0] + made.vi[1] - made.vi[2])
    assert covariance == pytest.approx(1 / 50 + made.yi[0] * made.yi[1] / (2 * 150), rel=1e-10)
    assert network(made).k == 1


def study(events, total, names="ABC", label="z"):
    k = len(events)
    return pd.DataFrame({"study": [label] * k, "treatment": list(names[:k]), "x": events, "n": total})


def test_empty_cells_get_the_increment_in_every_arm_of_the_study_and_it_is_said():
    data = pd.concat([study([0, 5, 6], [20, 20, 20]), study([3, 4], [20, 20], label="full")])
    made = contrasts(data, "OR", events="x", total="n")
    assert made.adjusted == ("z",)
    assert "0.5 added to every arm" in made.notes[0]
    assert made.yi[0] == pytest.approx(np.log(0.5 / 20.5) - np.log(5.5 / 15.5))
    assert made.yi[-1] == pytest.approx(np.log(3 / 17) - np.log(4 / 16))
    assert made.arms["events"].tolist() == [0, 5, 6, 3, 4]
    with pytest.raises(InputError, match=r"increment, row 0.*study z has an empty cell"):
        contrasts(data, "OR", events="x", total="n", increment=0)


@pytest.mark.parametrize(
    ("events", "measure", "reason"),
    [([0, 0], "OR", "no events"), ([20, 20], "OR", "everyone"), ([0, 0], "RR", "no events"), ([4], "OR", "one arm")],
)
def test_studies_that_say_nothing_are_left_out_with_the_reason(events, measure, reason):
    data = pd.concat([study([3, 4], [20, 20], label="good"), study(events, [20] * len(events))])
    made = contrasts(data, measure, events="x", total="n")
    assert made.study == ("good",)
    assert made.dropped[0][0] == "z"
    assert reason in made.dropped[0][1]
    assert any("study z" in note for note in network(made).notes)
    with pytest.raises(InputError, match="no study that says something"):
        contrasts(study(events, [20] * len(events)), measure, events="x", total="n")


def test_a_study_without_events_counts_for_risk_differences():
    made = contrasts(study([0, 0], [20, 30]), "RD", events="x", total="n")
    assert made.yi.size == 1
    assert made.vi[0] > 0


@pytest.mark.parametrize(
    ("change", "measure", "words"),
    [
        ({"x": [10, 70, 5]}, "OR", ["events, row 1", "at most the total of 60", "study s"]),
        ({"x": [10, -1, 5]}, "OR", ["events, row 1"]),
        ({"x": [10, np.nan, 5]}, "RR", ["events, row 1", "nan"]),
        ({"n": [50, 0, 40]}, "RD", ["total, row 1"]),
        ({"s": [1, 0, 1]}, "MD", ["sd, row 1"]),
        ({"m": [1, 0, 1]}, "ROM", ["mean, row 1", "other than zero"]),
        ({"t": [1, -2, 1]}, "IRR", ["time, row 1"]),
        ({"treatment": ["A", "B", "A"]}, "OR", ["treatment, row 2", "again in study s"]),
        ({"treatment": ["A", None, "C"]}, "OR", ["treatment, row 1"]),
    ],
)
def test_bad_arms(change, measure, words):
    names = {
        "OR": ("events", "total"),
        "RR": ("events", "total"),
        "RD": ("events", "total"),
        "IRR": ("events", "time"),
    }
    columns = {"events": "x", "total": "n", "time": "t"}
    needed = {k: columns[k] for k in names[measure]} if measure in names else {"mean": "m", "sd": "s", "n": "n"}
    with pytest.raises(InputError) as caught:
        contrasts(FRAME.assign(**change), measure, **needed)
    for word in words:
        assert word in str(caught.value)


def test_bad_options():
    for options, word in (
        ({"measure": "HR"}, "measure"),
        ({"measure": "OR", "events": "x"}, "total"),
        ({"measure": "OR", "events": "x", "total": "N"}, "a column of data"),
        ({"measure": "OR", "events": "x", "total": "n", "increment": -1}, "increment"),
    ):
        with pytest.raises(InputError, match=word):
            contrasts(FRAME, **options)
    with pytest.raises(InputError, match="no rows"):
        contrasts(FRAME.iloc[:0], "OR", events="x", total="n")


def test_words_and_plain_values():
    import json

    made = contrasts(FRAME, "OR", events="x", total="n")
    json.dumps(made.to_dict(), allow_nan=False)
    assert "3 comparisons of 1 studies" in repr(made)
    assert made.to_frame().equals(made.summary)
