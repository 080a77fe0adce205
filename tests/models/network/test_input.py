"""Bad input, one by one: an error that names the argument, the row and the study, and what to do."""

import numpy as np
import pandas as pd
import pytest

import comfrey as cf
from comfrey.errors import InputError
from comfrey.models.network import network

GOOD = {
    "yi": [0.1, 0.2, 0.3],
    "vi": [0.1, 0.2, 0.3],
    "treat_1": ["A", "B", "A"],
    "treat_2": ["B", "C", "C"],
    "study": ["s1", "s2", "s3"],
}


def call(**changes):
    return network(**(GOOD | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"yi": [0.1, np.nan, 0.3]}, ["yi, row 1", "study s2"]),
        ({"yi": [0.1, np.inf, 0.3]}, ["yi, row 1"]),
        ({"yi": [0.1, "x", 0.3]}, ["yi, row 1", "'x'"]),
        ({"vi": [0.1, 0.0, 0.3]}, ["vi, row 1", "above zero", "s2"]),
        ({"vi": [0.1, 0.2, -0.3]}, ["vi, row 2", "-0.3"]),
        ({"vi": [0.1, np.inf, 0.3]}, ["vi, row 1", "finite"]),
        ({"vi": [0.1, 0.2]}, ["vi", "2 values", "3 values"]),
        ({"treat_1": ["A", "C", "A"]}, ["treat_2, row 1", "itself", "s2"]),
        ({"treat_1": ["A", None, "A"]}, ["treat_1, row 1", "label"]),
        ({"treat_2": ["B", " ", "C"]}, ["treat_2, row 1"]),
        ({"treat_2": pd.array(["B", pd.NA, "C"], dtype="string")}, ["treat_2, row 1"]),
        ({"yi": pd.array([0.1, pd.NA, 0.2], dtype="Float64")}, ["yi, row 1"]),
        ({"study": ["s1", float("nan"), "s3"]}, ["study, row 1"]),
        ({"study": ["s1", "s2"]}, ["study", "2 values"]),
        ({"yi": [], "vi": [], "treat_1": [], "treat_2": [], "study": []}, ["no rows"]),
        ({"yi": [[0.1], [0.2], [0.3]]}, ["yi", "2 dimensions"]),
        ({"vi": None}, ["vi", "nothing"]),
        ({"treat_1": "drug"}, ["treat_1", "data="]),
        ({"method": "PM"}, ["method", "'PM'", "REML"]),
        ({"test": "F"}, ["test", "'F'"]),
        ({"level": 95}, ["level", "95"]),
        ({"small_values": "good"}, ["small_values", "'good'"]),
        ({"reference": "Z"}, ["reference", "'Z'", "A, B, C"]),
        ({"method": "MH"}, ["comfrey.contrasts"]),
    ],
)
def test_bad_columns(changes, words):
    with pytest.raises(InputError) as caught:
        call(**changes)
    for word in words:
        assert word in str(caught.value)


def test_a_repeated_row_in_a_study():
    with pytest.raises(InputError, match=r"study, row 2.*A with B again in study s1 .first in row 0") as caught:
        network([0.1, 0.2, 0.15], [0.1] * 3, ["A", "B", "B"], ["B", "C", "A"], ["s1", "s2", "s1"])
    assert "separate labels" in str(caught.value)


def test_a_multi_arm_study_with_a_missing_comparison():
    with pytest.raises(InputError, match="study trio; missing: B with C") as caught:
        network([0.1, 0.2], [0.1, 0.1], ["A", "A"], ["B", "C"], ["trio", "trio"])
    assert "comfrey.contrasts" in str(caught.value)


def test_two_comparisons_without_a_common_arm_in_one_study():
    with pytest.raises(InputError, match="all 6 comparisons of a study with 4 arms"):
        network([0.1, 0.2, 0.3], [0.1] * 3, ["A", "C", "A"], ["B", "D", "C"], ["s", "s", "s"])


def test_a_multi_arm_study_that_contradicts_itself():
    with pytest.raises(InputError, match=r"study trio .A, B, C., where they miss by up to") as caught:
        network([0.5, 0.5, -1.0], [0.1] * 3, ["A", "B", "A"], ["B", "C", "C"], ["trio"] * 3)
    assert "sign" in str(caught.value)


def test_rounding_is_mended_and_said():
    net = network([0.5, 0.5, 1.01], [0.1] * 3, ["A", "B", "A"], ["B", "C", "C"], ["trio"] * 3)
    assert "rounding" in net.notes[0]
    assert net.effects.loc["A", "C"] == pytest.approx(1.0067, abs=1e-4)


def test_variances_of_no_covariance_matrix():
    with pytest.raises(InputError, match=r"vi, row 0.*positive definite.*study trio"):
        network([0.5, 0.5, 1.0], [0.01, 0.01, 9.0], ["A", "B", "A"], ["B", "C", "C"], ["trio"] * 3)


def test_a_ranking_needs_a_direction():
    net = call()
    for ask in (lambda: net.p_scores, net.ranking, lambda: net.rank_probabilities, net.threshold):
        with pytest.raises(InputError, match="small_values"):
            ask()


def test_what_needs_a_connected_network_says_so():
    net = network([0.1, 0.2], [0.1] * 2, ["A", "C"], ["B", "D"], [1, 2], small_values="desirable")
    assert net.n_parts == 2
    for ask in (net.ranking, net.bayesian, net.threshold):
        with pytest.raises(InputError, match=r"2 parts that no study connects.*subnetworks"):
            ask()


@pytest.mark.parametrize(
    ("ask", "word"),
    [
        (lambda n: n.split("dias"), "method"),
        (lambda n: n.split("SIDDE", tau2="x"), "tau2"),
        (lambda n: n.designs("PM"), "tau2_within"),
        (lambda n: n.contributions("walk"), "kind"),
        (lambda n: n.contributions(per="arm"), "per"),
        (lambda n: n.contributions("hat", per="study"), "kind"),
        (lambda n: n.contributions(per="risk of bias"), "risk_of_bias"),
        (lambda n: n.contributions(per="risk of bias", risk_of_bias={"s1": "low"}), "risk_of_bias"),
        (lambda n: n.league(upper="x"), "upper"),
        (lambda n: n.league(upper=3), "upper"),
        (lambda n: n.league(order=["A"]), "order"),
        (lambda n: n.ranking(draws=0), "draws"),
        (lambda n: n.partial_order(confidence=0.4), "confidence"),
        (lambda n: n.partial_order(minimal_difference=-1), "minimal_difference"),
        (lambda n: n.threshold(decision="Z"), "decision"),
        (lambda n: n.bayesian("flat"), "prior"),
    ],
)
def test_bad_options_of_methods(ask, word):
    net = call(small_values="desirable")
    with pytest.raises(InputError, match=word):
        ask(net)


def test_labels_may_be_numbers():
    net = network([0.1, 0.2], [0.1, 0.1], [1, 2], [2.0, 3.0], [10, 11])
    assert net.treatments == ("1", "2", "3")


def test_the_door_opens():
    assert cf.network is network
    assert cf.contrasts.__module__.startswith("comfrey.models.network")
    assert cf.components.__module__.startswith("comfrey.models.network")


def test_column_names_need_their_frame():
    with pytest.raises(InputError, match=r"a column of data .y, v."):
        network("y", "w", "a", "b", "s", data=pd.DataFrame({"y": [1.0], "v": [1.0]}))
