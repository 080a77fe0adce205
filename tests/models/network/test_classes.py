"""Hierarchical class effects against a two-dimensional grid of plain algebra, and at their limits."""

import json

import numpy as np
import pytest
from scipy import stats

from comfrey.errors import InputError
from comfrey.models.network import HalfNormal, LogNormal, Uniform, network

CLASSES = {"T1": "a", "T2": "a", "T4": "a", "T3": "b", "T5": "b"}


@pytest.fixture(scope="module")
def columns(random_network):
    return random_network(3, n=6, k=12)


@pytest.fixture(scope="module")
def net(columns):
    return network(*columns, reference="T0", small_values="undesirable")


def test_against_a_grid(net, columns, dense):
    prior, spread = HalfNormal(0.6), HalfNormal(0.8)
    fit = net.bayesian_classes(CLASSES, prior, spread)
    model = dense(*columns)
    names = [t for t in net.treatments if t != "T0"]
    member = np.array([[float(CLASSES[a] == CLASSES[b]) for b in names] for a in names])
    penalty = np.eye(5) - member / member.sum(axis=1, keepdims=True)
    tau, sigma = np.linspace(1e-4, 4, 161), np.linspace(1e-3, 5, 301)
    height, mean, var = (np.empty((tau.size, sigma.size)) for _ in range(3))
    for i, t in enumerate(tau):
        v = model.V + t * t * model.S
        w = np.linalg.inv(v)
        a, b = model.X.T @ w @ model.X, model.X.T @ w @ model.y
        _, log_v = np.linalg.slogdet(v)
        for j, s in enumerate(sigma):
            cov = np.linalg.inv(a + penalty / s**2)
            theta = cov @ b
            fixed = model.y @ w @ model.y - b @ theta
            height[i, j] = -0.5 * (log_v - np.linalg.slogdet(cov)[1] + fixed) - 3 * np.log(s)
            mean[i, j], var[i, j] = theta[0], cov[0, 0]
    density = np.exp(height - height.max() + prior.log_density(tau)[:, None] + spread.log_density(sigma)[None])
    simpson = [np.r_[1, np.tile([4, 2], x.size // 2 - 1), 4, 1] for x in (tau, sigma)]
    weight = np.outer(*simpson) * density
    weight /= weight.sum()
    row = fit.summary.loc["T1"]
    assert row["mean"] == pytest.approx((weight * mean).sum(), abs=2e-5)
    for limit, target in ((row["ci_low"], 0.025), (row["median"], 0.5), (row["ci_high"], 0.975)):
        got = (weight * stats.norm.cdf((limit - mean) / np.sqrt(var))).sum()
        assert got == pytest.approx(target, abs=2e-5)
    assert np.interp(fit.sigma_median, sigma, np.cumsum(weight.sum(axis=0))) == pytest.approx(0.5, abs=0.02)
    assert np.interp(fit.tau_high, tau, np.cumsum(weight.sum(axis=1))) == pytest.approx(0.975, abs=0.01)
    assert fit.error < 1e-7


def test_a_wide_spread_is_no_class_at_all(net):
    fit = net.bayesian_classes(CLASSES, HalfNormal(0.6), LogNormal(2 * np.log(1e4), 0.1))
    free = net.bayesian(HalfNormal(0.6))
    np.testing.assert_allclose(fit.summary["mean"].sort_index(), free.summary["mean"].sort_index(), atol=1e-4)
    np.testing.assert_allclose(fit.summary["ci_high"].sort_index(), free.summary["ci_high"].sort_index(), atol=1e-4)
    np.testing.assert_allclose(fit.p_scores, free.p_scores, atol=1e-4)


def test_a_narrow_spread_gives_a_class_one_effect(net):
    fit = net.bayesian_classes(CLASSES, HalfNormal(0.6), HalfNormal(1e-4))
    table = fit.summary
    for name in ("a", "b"):
        assert np.ptp(table.loc[table["class"] == name, "mean"]) < 1e-3
        assert fit.class_effects.loc[name, "mean"] == pytest.approx(
            table.loc[table["class"] == name, "mean"].mean(), abs=1e-3
        )


def test_treatments_may_stand_alone(net):
    fit = net.bayesian_classes({"T1": "a", "T2": "a"})
    assert fit.summary["class"].to_dict() == {"T1": "a", "T2": "a", "T3": "", "T4": "", "T5": ""}
    assert list(fit.class_effects.index) == ["a"]
    json.dumps(fit.to_dict(), allow_nan=False)
    assert "sigma: median" in repr(fit)


@pytest.mark.parametrize(
    ("classes", "word"),
    [({"T9": "a"}, "T9"), ({"T0": "a", "T1": "a"}, "reference"), ({"T1": "a", "T2": "b"}, "at least one")],
)
def test_bad_classes(net, classes, word):
    with pytest.raises(InputError, match=word):
        net.bayesian_classes(classes)
    with pytest.raises(InputError, match="proper prior"):
        net.bayesian_classes(CLASSES, Uniform())
