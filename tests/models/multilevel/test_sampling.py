"""The covariance of sampling errors: formula, blocks, bad input."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import comfrey as cf
from comfrey.models.multilevel.sampling import as_sampling_covariance

VI = np.array([0.04, 0.09, 0.16, 0.25, 0.01])
CLUSTER = ["b", "a", "b", "a", "c"]


def by_loops(vi, cluster, rho):
    k = len(vi)
    return np.array(
        [
            [
                vi[i] if i == j else (rho(i, j) * np.sqrt(vi[i] * vi[j]) if cluster[i] == cluster[j] else 0)
                for j in range(k)
            ]
            for i in range(k)
        ]
    )


def test_one_correlation():
    V = cf.sampling_covariance(VI, CLUSTER, 0.6)
    np.testing.assert_allclose(V.toarray(), by_loops(VI, CLUSTER, lambda i, j: 0.6), rtol=1e-15)
    assert V.shape == (5, 5)
    assert len(V) == 5
    np.testing.assert_array_equal(np.asarray(V), V.toarray())
    assert repr(V) == "SamplingCovariance of 5 effects: 4 in 2 blocks, the others independent"


def test_correlations_between_outcomes():
    table = pd.DataFrame([[1, 0.3], [0.3, 1]], index=["pain", "mood"], columns=["pain", "mood"])
    outcome = ["pain", "mood", "mood", "pain", "pain"]
    V = cf.sampling_covariance(VI, CLUSTER, table, outcome=outcome)
    np.testing.assert_allclose(V.toarray(), by_loops(VI, CLUSTER, lambda i, j: 0.3), rtol=1e-15)


def test_subgroups_share_nobody():
    V = cf.sampling_covariance(VI, CLUSTER, 0.6, subgroup=[1, 1, 2, 1, 1])
    assert V.toarray()[0, 2] == 0
    assert V.toarray()[1, 3] == pytest.approx(0.6 * 0.3 * 0.5)


def test_time_weakens_the_correlation():
    V = cf.sampling_covariance(VI, CLUSTER, 0.8, time=[0, 0, 2, 3, 0], phi=0.5)
    np.testing.assert_allclose(
        [V.toarray()[0, 2], V.toarray()[1, 3]], [0.8 * 0.25 * 0.2 * 0.4, 0.8 * 0.125 * 0.3 * 0.5], rtol=1e-14
    )


def test_columns_of_a_frame_with_an_odd_index():
    frame = pd.DataFrame({"v": VI, "study": CLUSTER}, index=[7, 7, 3, 1, 0])
    np.testing.assert_array_equal(
        cf.sampling_covariance("v", "study", 0.5, data=frame).toarray(),
        cf.sampling_covariance(VI, CLUSTER, 0.5).toarray(),
    )


def test_no_correlation_leaves_no_blocks():
    assert cf.sampling_covariance(VI, CLUSTER, 0).diagonal_only


def test_every_form_of_a_matrix_is_read_the_same():
    V = cf.sampling_covariance(VI, CLUSTER, 0.6)
    for form in (
        V,
        V.toarray(),
        sparse.csr_array(V.toarray()),
        sparse.coo_matrix(V.toarray()),
        pd.DataFrame(V.toarray()),
    ):
        np.testing.assert_array_equal(as_sampling_covariance(form, None, 5).toarray(), V.toarray())
    assert as_sampling_covariance(np.diag(VI), None, 5).diagonal_only


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vi": [0.04, -0.09, 0.16, 0.25, 0.01]}, "vi, row 1: expected a variance above zero, found -0.09"),
        ({"vi": [0.04, 0.09, 0, 0.25, 0.01]}, "vi, row 2: expected a variance above zero, found 0.0"),
        ({"vi": [0.04, np.nan, 0.16, 0.25, 0.01]}, "vi, row 1: expected a finite number, found"),
        ({"cluster": ["a", None, "b", "a", "c"]}, "cluster, row 1: expected a label"),
        ({"cluster": ["a"]}, "cluster: expected 5 values, one for each effect, found 1 values"),
        ({"rho": 1}, "rho: expected a correlation between -1 and 1, found 1"),
        ({"rho": None}, "rho: expected a correlation between -1 and 1, found None"),
        ({"rho": "high"}, "rho: expected a correlation between -1 and 1, found 'high'"),
        ({"rho": -0.9, "cluster": ["a"] * 5}, "rho: expected a positive definite covariance matrix"),
        ({"rho": np.eye(2)}, "outcome: expected the outcome of each effect"),
        (
            {"rho": pd.DataFrame(np.eye(2)), "outcome": list("ababc")},
            "rho: expected a DataFrame with a row and column",
        ),
        ({"time": [1, 2, 3, 4, 5]}, "phi: expected a number whenever `time` is given"),
        ({"time": [1, 2, 3, 4, 5], "phi": 1.5}, "phi: expected a correlation from 0 to below 1"),
        ({"time": [1, 2], "phi": 0.5}, "time: expected 5 values"),
        ({"cluster": "study"}, "data: expected a DataFrame with the column 'study'"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"vi": VI, "cluster": CLUSTER, "rho": 0.5, **change}
    with pytest.raises(cf.InputError) as caught:
        cf.sampling_covariance(**arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones((2, 3)), "expected a square matrix"),
        (np.eye(3), "expected 2 rows, one for each effect in yi, found 3 rows"),
        ([[1, 0.5], [0.4, 1]], "expected a symmetric matrix"),
        ([[1, 2], [2, 1]], "expected a positive definite covariance matrix"),
        ([[1, np.nan], [np.nan, 1]], "expected a finite number"),
        ([[0, 0], [0, 1]], "row 0: expected a variance above zero"),
        ([0.1, np.inf], "row 1: expected a finite number"),
    ],
)
def test_bad_matrices_are_named(value, message):
    with pytest.raises(cf.InputError) as caught:
        as_sampling_covariance(np.array(value), None, 2)
    assert str(caught.value).startswith("vi_or_V")
    assert message in str(caught.value)
