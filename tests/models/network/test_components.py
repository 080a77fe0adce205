"""Additive components: identifiability, disconnected networks, interactions; netmeta is in the parity ledger."""

import numpy as np
import pytest

from comfrey.errors import InputError, NotEstimableError
from comfrey.models.network import components, network


def test_without_combinations_the_component_model_is_the_network(random_network):
    for method in ("EE", "DL", "ML", "REML"):
        net = network(*random_network(1), method=method)
        model = components(net, inactive="T3")
        assert model.tau2 == pytest.approx(net.tau2, rel=1e-8)
        assert model.q_difference_df == 0
        np.testing.assert_allclose(model.effects, net.effects, atol=1e-9)
        np.testing.assert_allclose(model.standard_errors, net.standard_errors, atol=1e-9)


def additive(pairs, beta, interaction=0.0):
    def value(t):
        parts = [p.strip() for p in t.split("+")]
        return sum(beta.get(p, 0) for p in parts) + interaction * (set("AB") <= set(parts))

    y = [value(a) - value(b) for a, b in pairs]
    left, right = zip(*pairs, strict=True)
    return network(y, [0.1] * len(y), left, right, range(len(y)), method="EE")


BETA = {"A": 1.0, "B": 0.5, "C": -0.25}


def test_components_bridge_a_disconnected_network():
    net = additive([("A", "P"), ("A + B", "A + C"), ("B", "P")], BETA)
    assert net.n_parts == 2
    model = components(net, inactive="P")
    table = model.components.set_index("term")
    assert table["estimate"].to_dict() == pytest.approx(BETA)
    assert all(model.identifiable)
    assert model.effects.loc["A + C", "P"] == pytest.approx(0.75)
    assert any("2 parts" in note for note in model.notes)


def test_what_is_not_identified_is_said_and_not_a_number():
    net = additive([("A + B", "P"), ("C", "P")], BETA)
    model = components(net, inactive="P")
    assert dict(zip(model.terms, model.identifiable, strict=True)) == {"A": False, "B": False, "C": True}
    table = model.components.set_index("term")
    assert table.loc[["A", "B"], "estimate"].isna().all()
    assert model.effects.loc["A + B", "P"] == pytest.approx(1.5)
    assert "A, B" in model.notes[0]
    assert model.combination("A+B", "C")["estimate"] == pytest.approx(1.75)
    with pytest.raises(NotEstimableError, match="do not identify A against P"):
        model.combination("A", "P")
    import json

    json.dumps(model.to_dict(), allow_nan=False)


def test_without_an_inactive_component_only_differences_are_identified():
    model = components(additive([("A", "B"), ("B", "C")], BETA))
    assert not any(model.identifiable)
    assert model.effects.loc["A", "C"] == pytest.approx(1.25)


def test_interactions():
    pairs = [("A", "P"), ("B", "P"), ("A+B", "P"), ("A+B", "A")]
    net = additive(pairs, BETA, interaction=0.4)
    plain, with_it = components(net, inactive="P"), components(net, inactive="P", interactions=["A*B"])
    assert plain.q_difference > 0.1
    assert with_it.q_difference_df == 0
    assert with_it.components.set_index("term").loc["A*B", "estimate"] == pytest.approx(0.4)
    assert with_it.combination("A+B", "B")["estimate"] == pytest.approx(1.4)
    assert components(net, inactive="P", interactions=[("A", "B")]).terms == with_it.terms


def test_p_scores_and_words(reference):
    ref = reference("cnma_depression")
    net = network(*ref.columns(), method="DL", small_values="undesirable")
    model = components(net, inactive="placebo")
    assert model.inactive == "Placebo"
    assert model.p_scores.mean() == pytest.approx(0.5)
    assert "Additivity: Q = 6.67 (df 3" in repr(model)
    t = components(network(*ref.columns(), method="DL", test="t"), inactive="placebo")
    assert t.components["ci_high"].sum() > model.components["ci_high"].sum()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"inactive": "water"}, "inactive"),
        ({"separator": ""}, "separator"),
        ({"interactions": ["A*Z"]}, "interactions"),
        ({"interactions": ["A"]}, "interactions"),
        ({"interactions": ["A*C"]}, "interactions"),
    ],
)
def test_bad_options(options, word):
    net = additive([("A", "P"), ("B", "P"), ("A+B", "P"), ("C", "P")], BETA)
    with pytest.raises(InputError, match=word):
        components(net, **({"inactive": "P"} | options))


def test_bad_labels_and_models():
    with pytest.raises(InputError, match="each once"):
        components(network([0.1], [0.1], ["A+A"], ["P"], [1]))
    with pytest.raises(NotEstimableError, match="no study compares"):
        components(network([0.1], [0.1], ["P+ Q"], ["Q + P"], [1]))
    model = components(network([0.1], [0.1], ["A"], ["P"], [1]), inactive="P")
    with pytest.raises(InputError, match="treatment"):
        model.combination("Z", "P")
    with pytest.raises(InputError, match="small_values"):
        model.p_scores  # noqa: B018
