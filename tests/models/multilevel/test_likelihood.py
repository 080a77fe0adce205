"""Every engine gives the likelihood, the gradient and the solution of the model written down densely."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

import comfrey as cf
from comfrey.models.multilevel._blocks import BlockEngine, cell_offsets
from comfrey.models.multilevel._crossed import CrossedEngine
from comfrey.models.multilevel._effects import random_covariance
from comfrey.models.multilevel._grouping import connected
from comfrey.models.multilevel._likelihood import profile
from comfrey.models.multilevel._nested import NestedEngine, chain, partition
from comfrey.models.multilevel._problem import make_problem
from comfrey.models.multilevel._terms import StructuredTerm, read_terms
from comfrey.models.multilevel.sampling import as_sampling_covariance

STRUCTURES = ["UN", "CS", "HCS", "DIAG", "ID", "AR", "HAR", "CAR"]


def sample(seed, k=24):
    rng = np.random.default_rng(seed)
    site = np.sort(rng.integers(0, 4, k))
    study = site * 10 + rng.integers(0, 3, k)
    frame = pd.DataFrame(
        {
            "site": site,
            "study": study,
            "es": np.arange(k),
            "lab": rng.integers(0, 3, k),
            "outcome": rng.integers(0, 3, k),
            "x": rng.normal(size=k),
            "vi": rng.uniform(0.05, 0.4, k),
        }
    )
    effects = rng.normal(0, 0.6, 4)[site] + rng.normal(0, 0.5, 100)[study]
    frame["yi"] = 0.4 + effects + rng.normal(0, np.sqrt(frame["vi"]))
    return frame


def dense(direct, problem, w):
    M = problem.covariance.toarray() / problem.scale**2
    for i, term in enumerate(problem.terms):
        G = random_covariance(problem, w, i)
        inner = term.inner if isinstance(term, StructuredTerm) else np.zeros(problem.k, dtype=int)
        M = M + direct.structured_matrix(G, inner, term.codes)
    return M


def setting(frame, random, structure=None, rho=None, restricted=True):
    k = len(frame)
    V = frame["vi"] if rho is None else cf.sampling_covariance("vi", "study", rho, data=frame)
    covariance = as_sampling_covariance(V, frame, k)
    terms = read_terms(random, structure, frame, k)
    design = np.column_stack((np.ones(k), frame["x"]))
    return make_problem(frame["yi"].to_numpy(), covariance, design, terms, restricted)


def engines(problem):
    """Every engine that can take the problem."""
    covariance = problem.covariance.scaled(1 / problem.scale**2)
    data = np.column_stack((problem.residual / problem.scale, problem.basis))
    out = [BlockEngine(data, covariance, problem.terms, connected(partition(problem.terms, covariance), problem.k))]
    order = chain(problem.terms, covariance)
    if order is not None:
        out.append(NestedEngine(data, covariance, problem.terms, order))
    plain = not any(isinstance(term, StructuredTerm) for term in problem.terms)
    if plain and any(term.codes.max() + 1 < problem.k for term in problem.terms):
        out.append(CrossedEngine(data, covariance, problem.terms))
    return out


NESTED = ["site", "site/study", "site/study/es", "study/es", "es", "site/es"]
CROSSED = [["study", "lab"], ["site/study/es", "lab"], ["lab", "es"]]


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("rho", [None, 0.5])
@pytest.mark.parametrize("random", NESTED + CROSSED)
def test_engines_agree_with_the_dense_model(direct, random, rho, restricted):
    frame = sample(3)
    problem = setting(frame, random, rho=rho, restricted=restricted)
    rng = np.random.default_rng(0)
    w = rng.uniform(0.05, 2, len(problem.terms))
    data = np.column_stack((problem.residual / problem.scale, problem.basis))
    for zero in (None, 0):
        if zero is not None:
            w[zero] = 0.0
        M = dense(direct, problem, w)
        W = np.linalg.inv(M)
        expected = direct.log_likelihood(data[:, 0], problem.basis, M, restricted)
        found = engines(problem)
        assert len(found) > 1 or random in CROSSED or rho is not None
        for engine in found:
            value, gradient = engine.value_and_gradient(w, restricted)
            np.testing.assert_allclose(value, expected, rtol=1e-12)
            np.testing.assert_allclose(engine.weighted(w), W @ data, rtol=1e-10, atol=1e-12)
            best = profile(engine.moments(w), problem.k, restricted)
            np.testing.assert_allclose(best.log_likelihood, expected, rtol=1e-12)
            for i, term in enumerate(problem.terms):
                K = direct.group_matrix(term.codes)
                P = W - W @ problem.basis @ best.beta_covariance @ problem.basis.T @ W
                trace = np.trace((P if restricted else W) @ K)
                slope = 0.5 * (data[:, 0] @ P @ K @ P @ data[:, 0] - trace)
                np.testing.assert_allclose(gradient[i], slope, rtol=1e-9, atol=1e-11)
                Z = (term.codes[:, None] == np.arange(term.codes.max() + 1)).astype(float)
                blocks = engine.group_blocks(w, i)[:, 0, 0]
                np.testing.assert_allclose(blocks, np.diag(Z.T @ W @ Z), rtol=1e-10)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_structures_have_exact_derivatives(structure):
    problem = setting(sample(5), ["outcome | study", "es"], structure, rho=0.3)
    rng = np.random.default_rng(1)
    x = rng.uniform(0.3, 0.9, problem.lower.size)
    value, gradient = problem(x)
    numeric = optimize.approx_fprime(x, lambda at: problem(at)[0], 1e-6)
    np.testing.assert_allclose(gradient, numeric, rtol=2e-4, atol=2e-5)  # differences are no better
    assert np.isfinite(value)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_structured_likelihood_is_that_of_the_dense_model(direct, structure):
    problem = setting(sample(6), ["outcome | study", "site"], structure, rho=0.3)
    x = np.random.default_rng(2).uniform(0.3, 0.9, problem.lower.size)
    M = dense(direct, problem, problem.cells(x))
    assert np.all(np.linalg.eigvalsh(M) > 0)
    expected = direct.log_likelihood(problem.residual / problem.scale, problem.basis, M)
    np.testing.assert_allclose(problem(x)[0], expected, rtol=1e-12)
    assert problem.cells(x).size == cell_offsets(problem.terms)[-1]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), method=st.sampled_from(["REML", "ML"]), random=st.sampled_from(NESTED + CROSSED))
def test_no_point_of_a_wide_search_is_higher_than_the_fit(direct, seed, method, random):
    frame = sample(seed, 14)
    try:
        fit = cf.multilevel("yi", "vi", random=random, data=frame, method=method)
    except cf.InputError:  # a term whose groups happen to equal another's, or to be one
        return
    X = np.ones((14, 1))
    problem = fit._state.problem

    def climb(roots):
        M = np.diag(frame["vi"])
        for variance, term in zip(np.square(roots), problem.terms, strict=True):
            M = M + variance * direct.group_matrix(term.codes)
        return -direct.log_likelihood(frame["yi"].to_numpy(), X, M, method == "REML")

    own = climb(np.sqrt(fit.sigma2))
    np.testing.assert_allclose(-own, fit.log_likelihood, rtol=1e-9, atol=1e-9)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        start = rng.uniform(0, 1.5, fit.sigma2.size)
        other = optimize.minimize(climb, start, method="L-BFGS-B").fun
        assert own <= other + 1e-7


@pytest.mark.parametrize("structure", STRUCTURES)
def test_no_point_of_a_wide_search_is_higher_than_a_structured_fit(direct, structure):
    frame = sample(11, 40)
    V = cf.sampling_covariance("vi", "study", 0.3, data=frame)
    fit = cf.multilevel("yi", V, random="outcome | study", structure=structure, data=frame, moderators="0 + C(outcome)")
    problem, dense_v = fit._state.problem, V.toarray()
    term = problem.terms[0]
    X = (frame["outcome"].to_numpy()[:, None] == np.arange(3)).astype(float)

    def value(x):
        G = random_covariance(problem, problem.cells(x), 0)
        M = dense_v + direct.structured_matrix(G, term.inner, term.outer) * problem.scale**2
        return -direct.log_likelihood(frame["yi"].to_numpy(), X, M)

    np.testing.assert_allclose(-value(fit._state.found.x), fit.log_likelihood, rtol=1e-10)
    bounds = list(zip(np.maximum(problem.lower, -3), np.minimum(problem.upper, 3), strict=True))
    rng = np.random.default_rng(0)
    for _ in range(3):
        start = [rng.uniform(max(low, 0), high) for low, high in bounds]
        other = optimize.minimize(value, start, method="L-BFGS-B", bounds=bounds).fun
        assert value(fit._state.found.x) <= other + 1e-6


def test_large_between_variance_keeps_its_digits(direct):
    # sampling variances a hundred million times below the variance between studies
    frame = sample(8)
    frame["vi"] *= 1e-8
    fit = cf.multilevel("yi", "vi", random="study/es", data=frame)
    M = np.diag(frame["vi"]) + fit.sigma2[0] * direct.group_matrix(frame["study"]) + fit.sigma2[1] * np.eye(24)
    expected = direct.log_likelihood(frame["yi"].to_numpy(), np.ones((24, 1)), M)
    np.testing.assert_allclose(fit.log_likelihood, expected, rtol=1e-9)


def test_crossed_engine_is_used_for_large_linked_sets_and_agrees():
    rng = np.random.default_rng(4)
    k = 400
    frame = pd.DataFrame({"study": rng.integers(0, 30, k), "lab": rng.integers(0, 8, k), "es": np.arange(k)})
    frame["vi"] = rng.uniform(0.01, 0.1, k)
    frame["yi"] = rng.normal(0, 0.3, 30)[frame["study"]] + rng.normal(0, 0.3, 8)[frame["lab"]] + rng.normal(0, 0.3, k)
    fit = cf.multilevel("yi", "vi", random=["study/es", "lab"], data=frame)
    problem = fit._state.problem
    assert isinstance(problem.engine, CrossedEngine)
    block = engines(problem)[0]
    w = problem.cells(fit._state.found.x)
    value, gradient = problem.engine.value_and_gradient(w, True)
    other, slope = block.value_and_gradient(w, True)
    np.testing.assert_allclose(value, other, rtol=1e-12)
    np.testing.assert_allclose(gradient, slope, atol=1e-7)
    assert np.abs(gradient).max() < 1e-6
