"""The quadrature against grids of brute force and a seeded sampler, both with plain dense algebra."""

import numpy as np
import pytest
from scipy import integrate, stats

from comfrey.errors import InputError
from comfrey.models.network import (
    HalfCauchy,
    HalfNormal,
    HalfT,
    LogNormal,
    LogT,
    Uniform,
    bayesian_pool,
    components,
    network,
    turner_prior,
)
from comfrey.models.network._quadrature import mixture_quantile

NETWORKS = ["nma_diabetes_DL", "nma_smoking", "nma_parkinson", "nma_depression"]
PRIORS = [HalfNormal(0.5), HalfT(0.5, 4), HalfCauchy(0.5), LogNormal(-2.56, 1.74), Uniform(2.0), Uniform()]


@pytest.mark.parametrize(
    ("prior", "frozen"),
    [
        (HalfNormal(0.7), stats.halfnorm(scale=0.7)),
        (HalfCauchy(0.7), stats.halfcauchy(scale=0.7)),
        (Uniform(3.0), stats.uniform(0, 3)),
        (LogNormal(-2.0, 1.5), stats.lognorm(s=0.75, scale=np.exp(-1.0))),
    ],
)
def test_prior_densities(prior, frozen):
    tau = np.array([0.01, 0.3, 1.0, 2.5])
    np.testing.assert_allclose(prior.log_density(tau), frozen.logpdf(tau), rtol=1e-12)


@pytest.mark.parametrize("prior", [HalfT(0.5, 3), LogT(-3.44, 2.59, 5)])
def test_prior_densities_integrate_to_one(prior):
    density = lambda x: float(np.exp(prior.log_density(np.array([np.exp(x)]))[0] + x))  # noqa: E731
    assert integrate.quad(density, -60, 60, limit=400)[0] == pytest.approx(1, abs=1e-4)


def test_empirical_priors():
    assert turner_prior() == LogNormal(-2.56, 1.74)
    prior = turner_prior("all-cause mortality", "pharmacological vs placebo")
    assert (prior.mean, prior.sd) == (-4.06, 1.45)
    with pytest.raises(InputError, match="outcome"):
        turner_prior("subjective")


def brute_force(model, prior, contrast, n=6001):
    """Posterior on a fine grid of x = tau / (1 + tau) by Simpson's rule; mean, sd, interval of a contrast."""
    upper = min(getattr(prior, "upper", np.inf), 1e6)
    x = np.linspace(1e-9, upper / (1 + upper) - 1e-9, n)
    tau = x / (1 - x)
    mean, var, height = np.empty(n), np.empty(n), np.empty(n)
    for i, t in enumerate(tau):
        theta, cov, _, _ = model.solve(t * t)
        mean[i], var[i] = contrast @ theta, contrast @ cov @ contrast
        height[i] = model.log_likelihood(t * t, restricted=True)
    density = np.exp(height - height.max() + prior.log_density(tau)) / (1 - x) ** 2
    simpson = np.full(n, 2.0)
    simpson[1::2] = 4.0
    simpson[[0, -1]] = 1.0
    weight = simpson * density
    return tau, weight / weight.sum(), mean, var


@pytest.mark.parametrize("name", ["nma_smoking", "nma_parkinson"])
@pytest.mark.parametrize("prior", PRIORS, ids=lambda p: type(p).__name__ + ("" if p.upper < 9 else "*"))
def test_networks_against_a_grid(reference, dense, name, prior):
    ref = reference(name)
    if name == "nma_parkinson" and prior == Uniform():
        prior = Uniform(5.0)  # four degrees of freedom leave tails that a plain grid cannot follow
    net = ref.fit("DL")
    fit = net.bayesian(prior)
    model = dense(*ref.columns())
    contrast = np.zeros(len(net.treatments) - 1)
    contrast[0] = 1.0
    tau, weight, mean, var = brute_force(model, prior, contrast, n=1201)
    a, b = net.treatments[1], net.treatments[0]
    centre = weight @ mean
    # The grid is good to about 1e-6; the quadrature says that it is better than that.
    assert fit.error < 1e-8
    assert fit.effects.loc[a, b] == pytest.approx(centre, abs=2e-6)
    assert fit.tau_mean == pytest.approx(weight @ tau, rel=2e-5)
    if np.isfinite(fit.standard_deviations.loc[a, b]):
        assert fit.standard_deviations.loc[a, b] == pytest.approx(
            np.sqrt(weight @ (var + mean**2) - centre**2), rel=2e-4
        )
    for limit, target in ((fit.ci_low, 0.025), (fit.ci_high, 0.975)):
        got = weight @ stats.norm.cdf((limit.loc[a, b] - mean) / np.sqrt(var))
        assert got == pytest.approx(target, abs=2e-6)
    for limit, target in ((fit.pi_low, 0.025), (fit.pi_high, 0.975)):
        got = weight @ stats.norm.cdf((limit.loc[a, b] - mean) / np.sqrt(var + tau**2))
        assert got == pytest.approx(target, abs=2e-6)
    better = weight @ stats.norm.cdf((1 if ref.small_values == "undesirable" else -1) * mean / np.sqrt(var))
    assert fit.better.loc[a, b] == pytest.approx(better, abs=2e-6)
    inside = weight[tau <= fit.tau_median].sum()
    assert inside == pytest.approx(0.5, abs=5e-3)  # the grid's own step


def sampler(model, prior, steps, seed):
    """Random-walk Metropolis for log tau, and effects given tau: chains of tau and theta."""
    rng = np.random.default_rng(seed)

    def height(x):
        t = np.exp(x)
        return model.log_likelihood(t * t, restricted=True) + float(prior.log_density(np.array([t]))[0]) + x

    x = np.log(0.3)
    now = height(x)
    taus, thetas = [], []
    for _ in range(steps):
        for _ in range(2):
            new = x + 1.2 * rng.standard_normal()
            level = height(new)
            if np.log(rng.random()) < level - now:
                x, now = new, level
        theta, cov, _, _ = model.solve(np.exp(2 * x))
        taus.append(np.exp(x))
        thetas.append(theta + np.linalg.cholesky(cov) @ rng.standard_normal(theta.size))
    return np.array(taus), np.array(thetas)


def monte_carlo_error(chain):
    """Of the mean, from 20 batches."""
    batches = chain[: len(chain) // 20 * 20].reshape(20, -1)
    return batches.mean(axis=1).std(ddof=1) / np.sqrt(20)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_against_a_sampler(reference, dense, name):
    ref = reference(name)
    net, prior = ref.fit("DL"), HalfNormal(1.0)
    fit = net.bayesian(prior)
    tau, theta = sampler(dense(*ref.columns()), prior, 1500, seed=7)
    assert abs(tau.mean() - fit.tau_mean) < 4.5 * monte_carlo_error(tau)
    low = (tau < fit.tau_low).astype(float)
    assert abs(low.mean() - 0.025) < 4.5 * monte_carlo_error(low) + 0.004
    for j in range(theta.shape[1]):
        chain = theta[:, j]
        assert abs(chain.mean() - fit.effects.iloc[j + 1, 0]) < 4.5 * monte_carlo_error(chain)
        above = (chain > fit.ci_high.iloc[j + 1, 0]).astype(float)
        assert abs(above.mean() - 0.025) < 0.02
    full = np.column_stack([np.zeros(len(theta)), theta])
    rank = np.argsort(np.argsort(full if ref.small_values == "desirable" else -full, axis=1), axis=1)
    share = np.array([(rank == r).mean(axis=0) for r in range(full.shape[1])]).T
    np.testing.assert_allclose(fit.rank_probabilities, share, atol=0.06)


def test_pooling_against_a_grid(dense):
    y, v = np.array([0.1, 0.35, -0.2, 0.6]), np.array([0.02, 0.05, 0.04, 0.03])
    model = dense(y, v, ["A"] * 4, ["B"] * 4, range(4))
    for prior in (HalfNormal(0.5), HalfCauchy(1.0), Uniform(4.0)):
        fit = bayesian_pool(y, v, prior)
        _, weight, mean, var = brute_force(model, prior, np.array([1.0]), n=4001)
        sign = -1.0  # the plain algebra has B minus A as its parameter
        for limit, target in ((fit.ci_low, 0.025), (fit.median, 0.5), (fit.ci_high, 0.975)):
            got = weight @ stats.norm.cdf((limit - sign * mean) / np.sqrt(var))
            assert got == pytest.approx(target, abs=2e-6)


def test_pooling_is_the_network_of_two_treatments():
    y, v = [0.1, 0.3, 0.6], [0.02, 0.03, 0.05]
    pool = bayesian_pool(y, v, HalfNormal(0.5))
    net = network(y, v, ["A"] * 3, ["B"] * 3, range(3), small_values="undesirable").bayesian(HalfNormal(0.5))
    row = net.summary.loc["B"] if net.reference == "A" else -net.summary.loc["A"]
    assert -row["mean"] == pytest.approx(pool.estimate)
    assert net.tau_median == pytest.approx(pool.tau_median)
    assert net.log_evidence == pytest.approx(pool.log_evidence)
    assert pool.summary.loc["effect", "pi_low"] < pool.ci_low
    assert "relative error below" in repr(pool)


def test_components_without_combinations_are_the_network(random_network):
    net = network(*random_network(1), small_values="desirable", reference="T2")
    bayes, parts = net.bayesian(HalfT(0.3, 3)), components(net, inactive="T2").bayesian(HalfT(0.3, 3))
    table = parts.components.set_index("term")
    assert table["mean"].to_dict() == pytest.approx(bayes.summary["mean"].to_dict(), rel=1e-6)
    assert parts.tau_high == pytest.approx(bayes.tau_high, rel=1e-6)
    net = network([0.5, 0.2], [0.1, 0.1], ["A+B", "C"], ["P", "P"], [1, 2])
    table = components(net, inactive="P").bayesian().components.set_index("term")
    assert table.loc["A"].isna().all()
    assert table.loc["C", "mean"] == pytest.approx(0.2)


def test_a_tight_prior_gives_the_common_effect_network(random_network):
    columns = random_network(2)
    fit = network(*columns).bayesian(HalfNormal(1e-5))
    common = network(*columns, method="EE")
    np.testing.assert_allclose(fit.effects, common.effects, atol=1e-6)
    np.testing.assert_allclose(fit.standard_deviations, common.standard_errors, rtol=1e-4)


def test_density_of_tau_integrates_to_one(reference):
    fit = reference("nma_smoking").fit("DL").bayesian(HalfCauchy(0.5))
    tau = np.linspace(1e-6, 6, 3001)
    density = fit.tau_density(tau)
    assert integrate.simpson(density, x=tau) == pytest.approx(1, abs=1e-4)
    below = tau <= fit.tau_high
    assert integrate.simpson(density[below], x=tau[below]) == pytest.approx(0.975, abs=2e-3)
    with pytest.raises(InputError, match="above zero"):
        fit.tau_density([0.0])


def test_ranks_are_deterministic_and_know_their_error(reference):
    net = reference("nma_smoking").fit("DL")
    one, two = net.bayesian(HalfNormal(1.0)).ranking(), net.bayesian(HalfNormal(1.0)).ranking()
    assert one.probabilities.equals(two.probabilities)
    assert one.standard_error < 0.003
    np.testing.assert_allclose(one.sucra, one.p_scores, atol=0.005)


def test_few_studies():
    one = bayesian_pool([0.3], [0.1], HalfNormal(0.5))
    assert one.tau_median == pytest.approx(stats.halfnorm(scale=0.5).median(), rel=1e-6)
    heavy = bayesian_pool([0.3], [0.1], HalfCauchy(0.5))
    assert np.isnan(heavy.tau_mean)
    assert "heavy" in heavy.notes[0]
    assert heavy.to_dict()["tau_mean"] is None
    assert np.isfinite(heavy.ci_low)
    for k in (1, 2):
        with pytest.raises(InputError, match="proper prior"):
            bayesian_pool([0.1, 0.5][:k], [0.1, 0.1][:k], Uniform())


@pytest.mark.parametrize("scale", [1e-8, 1e6])
def test_scale(scale):
    y, v = np.array([0.1, 0.3, 0.6]), np.array([0.02, 0.03, 0.05])
    one, two = bayesian_pool(y, v, HalfNormal(0.5)), bayesian_pool(y * scale, v * scale**2, HalfNormal(0.5 * scale))
    for name in ("estimate", "ci_low", "ci_high", "tau_median", "tau_high"):
        assert getattr(two, name) == pytest.approx(getattr(one, name) * scale, rel=1e-7)


@pytest.mark.parametrize(
    "prior",
    [
        HalfNormal(1e-3),
        HalfNormal(1e3),
        LogNormal(-20.0, 0.5),
        LogNormal(10.0, 0.5),
        HalfCauchy(1e4),
        LogT(-3.44, 2.59),
    ],
)
def test_priors_far_from_the_data_are_integrated_all_the_same(prior):
    y, v = np.array([0.1, 0.3, 0.6]), np.array([0.02, 0.03, 0.05])
    fit = bayesian_pool(y, v, prior)

    def height(x):
        t = np.exp(x)
        w = 1 / (v + t * t)
        r = y - (w @ y) / w.sum()
        level = 0.5 * (np.log(w).sum() - np.log(w.sum()) - w @ r**2)
        return np.exp(level + prior.log_density(np.array([t]))[0] + x)

    x = np.linspace(-25, 25, 40001)
    values = np.array([height(t) for t in x])
    share = np.cumsum(values) / values.sum()
    assert np.log(fit.tau_median) == pytest.approx(np.interp(0.5, share, x), abs=2e-3)


def test_bad_input():
    for arguments, word in (
        (([0.1, np.nan], [0.1, 0.1]), "yi, row 1"),
        (([0.1, 0.2], [0.1, 0.0]), "vi, row 1"),
        (([0.1], [0.1, 0.2]), "vi"),
        (([], []), "at least one"),
    ):
        with pytest.raises(InputError, match=word):
            bayesian_pool(*arguments)
    for make in (
        lambda: HalfNormal(0.0),
        lambda: HalfT(1, -1),
        lambda: LogNormal(np.nan, 1),
        lambda: LogT(np.inf, 1),
        lambda: Uniform(-1),
    ):
        with pytest.raises(InputError):
            make()
    with pytest.raises(InputError, match="prior"):
        bayesian_pool([0.1], [0.1], "flat")
    with pytest.raises(InputError, match="level"):
        bayesian_pool([0.1], [0.1], level=2)
    with pytest.raises(InputError, match="small_values"):
        network([0.1], [0.1], ["A"], ["B"], [1]).bayesian().p_scores  # noqa: B018


def test_quantiles_of_mixtures():
    mean, sd, weight = np.array([[0.0, 5.0], [0.0, 0.0]]), np.array([[1.0, 0.1], [1.0, 3.0]]), np.array([0.4, 0.6])
    for p in (0.001, 0.3, 0.5, 0.9, 0.999):
        x = mixture_quantile(p, mean, sd, weight)
        np.testing.assert_allclose(stats.norm.cdf((x[:, None] - mean) / sd) @ weight, p, atol=1e-10)
