"""Mantel-Haenszel, noncentral hypergeometric and penalised logistic networks."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import odds_ratio

from comfrey.errors import InputError, NotEstimableError
from comfrey.models.network import contrasts, hypergeometric_network, network, penalised_logistic_network
from comfrey.models.network._likelihood import _given_total
from comfrey.models.network._mantel_haenszel import mantel_haenszel_design


def made(rows):
    data = pd.DataFrame(rows, columns=["study", "treatment", "x", "n"])
    return contrasts(data, "OR", events="x", total="n")


@pytest.fixture
def smoking(reference):
    d = reference("nma_smoking_mh").data
    rows = [
        (i + 1, d[f"treat{j}"][i], d[f"event{j}"][i], d[f"n{j}"][i])
        for i in range(24)
        for j in (1, 2, 3)
        if d[f"treat{j}"][i]
    ]
    return made(rows)


def test_mantel_haenszel_is_netmeta_s(reference, smoking):
    ref = reference("nma_smoking_mh")
    net = network(smoking, method="MH")
    want = ref.matrix("TE")
    np.testing.assert_allclose(net.effects.loc[want.index, want.columns], want, rtol=1e-9, atol=1e-12)
    want = ref.matrix("seTE")
    np.testing.assert_allclose(net.standard_errors.loc[want.index, want.columns], want, rtol=1e-9, atol=1e-12)
    q = ref.results["Q"]
    assert (net.q, net.q_df, net.q_p) == (pytest.approx(q["Q_inc"]), q["df_inc"], pytest.approx(q["p_inc"]))
    assert (net.k, net.n_comparisons) == (q["k"], q["m"])
    assert any("A in 15" in note for note in net.notes)
    net.split("SIDDE")
    net.contributions()
    with pytest.raises(InputError, match="normal likelihood"):
        net.bayesian()


def test_mantel_haenszel_of_two_arms_is_robins_breslow_and_greenland():
    events, total = np.array([[4.0, 10], [0, 3], [7, 6]]), np.array([[40.0, 50], [30, 30], [60, 40]])
    effect, variance = mantel_haenszel_design(events, total)
    a, c = events[:, 1], events[:, 0]
    b, d, n = total[:, 1] - a, total[:, 0] - c, total.sum(axis=1)
    r, s, p, q = a * d / n, b * c / n, (a + d) / n, (b + c) / n
    assert effect[0] == pytest.approx(np.log(r.sum() / s.sum()))
    want = (
        (p * r).sum() / (2 * r.sum() ** 2)
        + (p * s + q * r).sum() / (2 * r.sum() * s.sum())
        + (q * s).sum() / (2 * s.sum() ** 2)
    )
    assert variance[0, 0] == pytest.approx(want)


def test_mantel_haenszel_of_one_three_arm_study_is_the_table_s_odds_ratios():
    events, total = np.array([[4.0, 10, 6]]), np.array([[40.0, 50, 30]])
    effect, covariance = mantel_haenszel_design(events, total)
    logit = np.log(events / (total - events))[0]
    v = (1 / events + 1 / (total - events))[0]
    np.testing.assert_allclose(effect, logit[1:] - logit[0])
    np.testing.assert_allclose(covariance, np.diag(v[1:]) + v[0])


def test_swapping_events_and_non_events_flips_the_sign():
    rng = np.random.default_rng(0)
    total = rng.integers(20, 60, (5, 3)).astype(float)
    events = np.floor(total * rng.uniform(0.1, 0.6, (5, 3)))
    one, two = mantel_haenszel_design(events, total), mantel_haenszel_design(total - events, total)
    np.testing.assert_allclose(one[0], -two[0])
    np.testing.assert_allclose(one[1], two[1])


@pytest.mark.slow
def test_mantel_haenszel_covariance_of_three_arms_by_simulation():
    rng = np.random.default_rng(1)
    total, p = np.full((30, 3), 12.0), np.array([0.2, 0.3, 0.4])
    draws = []
    estimated = []
    for _ in range(4000):
        effect, covariance = mantel_haenszel_design(rng.binomial(12, p, (30, 3)).astype(float), total)
        draws.append(effect)
        estimated.append(covariance)
    np.testing.assert_allclose(np.mean(estimated, axis=0), np.cov(np.array(draws).T), rtol=0.08)


def test_conditional_odds_ratio_of_one_table():
    fit = hypergeometric_network(made([("s", "A", 3, 20), ("s", "B", 2, 25)]))
    want = odds_ratio([[3, 17], [2, 23]], kind="conditional").statistic
    assert fit.effects.loc["A", "B"] == pytest.approx(np.log(want), rel=1e-7)


def test_hypergeometric_moments_by_listing():
    theta, total, events = np.array([0.3, -0.4, 0.1]), np.array([5.0, 4, 6]), np.array([2.0, 1, 3])
    from scipy.special import comb

    states = [(a, b, 6 - a - b) for a in range(6) for b in range(5) if 0 <= 6 - a - b <= 6]
    weight = np.array([np.prod(comb(total, s)) * np.exp(np.dot(theta, s)) for s in states])
    chance = weight / weight.sum()
    mean = chance @ np.array(states)
    covariance = np.cov(np.array(states).T, aweights=chance, ddof=0)
    height, got, spread = _given_total(theta, total, events)
    at = states.index((2, 1, 3))
    assert height == pytest.approx(np.log(chance[at]))
    np.testing.assert_allclose(got, mean)
    np.testing.assert_allclose(spread, covariance, atol=1e-12)


def test_hypergeometric_and_mantel_haenszel_are_close(smoking):
    exact, mh = hypergeometric_network(smoking), network(smoking, method="MH")
    np.testing.assert_allclose(exact.effects, mh.effects, atol=0.15)
    assert exact.gradient < 1e-8


def test_firth_of_one_table_adds_one_half_to_every_cell():
    fit = penalised_logistic_network(
        made([("s", "A", 3, 20), ("s", "B", 0, 25)]), reference="B", small_values="desirable"
    )
    assert fit.effects.loc["A", "B"] == pytest.approx(np.log(3.5 / 17.5) - np.log(0.5 / 25.5), rel=1e-8)
    assert fit.p_scores["B"] > 0.5
    import json

    json.dumps(fit.to_dict(), allow_nan=False)
    assert "penalised logistic" in repr(fit)


def test_infinite_odds_ratios_are_said():
    source = made([("s", "A", 3, 20), ("s", "B", 0, 25), ("t", "A", 3, 20), ("t", "C", 4, 20)])
    with pytest.raises(NotEstimableError, match="rises without end"):
        hypergeometric_network(source)
    assert np.isfinite(penalised_logistic_network(source).effects.to_numpy()).all()
    assert network(source, method="MH").treatments == ("A", "C")
    with pytest.raises(NotEstimableError, match="no design"):
        network(made([("s", "A", 3, 20), ("s", "B", 0, 25)]), method="MH")


def test_bad_sources():
    data = pd.DataFrame({"study": [1, 1], "treatment": ["A", "B"], "x": [3, 4], "n": [20, 20]})
    risk = contrasts(data, "RR", events="x", total="n")
    for ask in (hypergeometric_network, penalised_logistic_network, lambda c: network(c, method="MH")):
        with pytest.raises(InputError, match="measure OR, found measure RR"):
            ask(risk)
        with pytest.raises(InputError, match="found list"):
            ask([1, 2])
    with pytest.raises(InputError, match="connected network"):
        hypergeometric_network(made([(1, "A", 3, 20), (1, "B", 4, 20), (2, "C", 3, 20), (2, "D", 4, 20)]))
    with pytest.raises(InputError, match="reference"):
        hypergeometric_network(made([(1, "A", 3, 20), (1, "B", 4, 20)]), reference="Z")
    with pytest.raises(InputError, match="whole numbers"):
        hypergeometric_network(made([(1, "A", 3.5, 20), (1, "B", 4, 20)]))
    with pytest.raises(InputError, match="small_values"):
        hypergeometric_network(made([(1, "A", 3, 20), (1, "B", 4, 20)])).p_scores  # noqa: B018
