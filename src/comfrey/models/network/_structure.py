"""The numeric form of a network: every study turned into contrasts that are independent of one another.

A study with a arms gives a - 1 independent contrasts. With within-study covariance V and between-study
covariance tau2 * S, where S has 1 on the diagonal and 1/2 beside it (Higgins & Whitehead 1996,
doi:10.1002/(SICI)1097-0258(19961230)15:24<2733::AID-SIM562>3.0.CO;2-0), the generalised eigenproblem
V u = lambda S u is solved once a study. In its basis the study is a - 1 uncorrelated contrasts with variances
lambda + tau2, whatever tau2 is: a network then costs no more than a meta-regression with a diagonal weight matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ArmGroup", "Structure", "arm_group", "islands"]


@dataclass(frozen=True, slots=True)
class ArmGroup:
    """All studies with the same number a of arms, as independent contrasts.

    Attributes
    ----------
    studies : (k,) int array
        Index of each study.
    arms : (k, a) int array
        Index of the treatment in each arm.
    design : (k, a - 1, a) float array
        Row r of study i has expectation ``design[i, r] @ theta[arms[i]]``; rows sum to zero.
    response : (k, a - 1) float array
        The independent contrasts.
    variance : (k, a - 1) float array
        Their sampling variances; tau2 is added to each.
    """

    studies: NDArray[np.int64]
    arms: NDArray[np.int64]
    design: NDArray[np.float64]
    response: NDArray[np.float64]
    variance: NDArray[np.float64]

    def take(self, keep: NDArray[np.bool_]) -> ArmGroup:
        """Only the studies that `keep` marks."""
        return ArmGroup(
            self.studies[keep], self.arms[keep], self.design[keep], self.response[keep], self.variance[keep]
        )


@dataclass(frozen=True, slots=True)
class Structure:
    """A network ready for arithmetic.

    Attributes
    ----------
    treatments : tuple of str
        Labels; every index of a treatment points here.
    studies : tuple of str
        Labels of the studies.
    groups : tuple of ArmGroup
        The studies, by number of arms.
    island : (n,) int array
        Which connected part of the network each treatment is in, counted from 0.
    island_of_study : (k,) int array
        The same for each study.
    """

    treatments: tuple[str, ...]
    studies: tuple[str, ...]
    groups: tuple[ArmGroup, ...]
    island: NDArray[np.int64]
    island_of_study: NDArray[np.int64]

    @property
    def n(self) -> int:
        """Number of treatments."""
        return len(self.treatments)

    @property
    def k(self) -> int:
        """Number of studies."""
        return len(self.studies)

    @property
    def n_islands(self) -> int:
        """Number of connected parts."""
        return int(self.island.max()) + 1

    @property
    def n_contrasts(self) -> int:
        """Number of independent contrasts: arms minus one, summed over studies."""
        return sum(group.response.size for group in self.groups)

    @property
    def df(self) -> int:
        """Degrees of freedom of Cochran's Q: independent contrasts minus estimated effects."""
        return self.n_contrasts - (self.n - self.n_islands)

    def studies_per_treatment(self) -> NDArray[np.int64]:
        """(n,) number of studies that hold each treatment."""
        return np.bincount(np.concatenate([g.arms.ravel() for g in self.groups]), minlength=self.n)

    def only(self, studies: NDArray[np.bool_]) -> Structure:
        """Keep some studies, and the treatments that they compare; indices are counted anew."""
        groups = tuple(group.take(studies[group.studies]) for group in self.groups)
        groups = tuple(group for group in groups if group.studies.size)
        used = np.unique(np.concatenate([group.arms.ravel() for group in groups]))
        kept = np.flatnonzero(studies)
        place_study = np.full(self.k, -1)
        place_study[kept] = np.arange(kept.size)
        place = np.full(self.n, -1)
        place[used] = np.arange(used.size)
        renamed = tuple(
            ArmGroup(place_study[g.studies], place[g.arms], g.design, g.response, g.variance) for g in groups
        )
        return build(tuple(self.treatments[i] for i in used), tuple(self.studies[i] for i in kept), renamed)

    def part(self, island: int) -> Structure:
        """One connected part of the network as a network of its own."""
        return self if self.n_islands == 1 else self.only(self.island_of_study == island)


def build(treatments: tuple[str, ...], studies: tuple[str, ...], groups: tuple[ArmGroup, ...]) -> Structure:
    """Put groups of studies together and find the connected parts."""
    island = islands(len(treatments), [group.arms for group in groups])
    island_of_study = np.zeros(len(studies), dtype=np.int64)
    for group in groups:
        island_of_study[group.studies] = island[group.arms[:, 0]]
    return Structure(treatments, studies, groups, island, island_of_study)


def islands(n: int, arms: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Label the connected parts of a graph whose studies join their arms.

    Parameters
    ----------
    n : int
        Number of treatments.
    arms : list of (k, a) int arrays
        Arms of the studies.

    Returns
    -------
    (n,) int array
        Labels 0, 1, ... in the order of the first treatment of each part.
    """
    start = np.concatenate([np.repeat(a[:, 0], a.shape[1] - 1) for a in arms]) if arms else np.empty(0, dtype=np.int64)
    end = np.concatenate([a[:, 1:].ravel() for a in arms]) if arms else np.empty(0, dtype=np.int64)
    graph = coo_array((np.ones(start.size), (start, end)), shape=(n, n))
    labels = connected_components(graph, directed=False)[1].astype(np.int64)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def between_study_covariance(arms: int) -> NDArray[np.float64]:
    """Shape of the heterogeneity of a - 1 contrasts against one arm: 1 on the diagonal, 1/2 beside it."""
    return 0.5 * (np.eye(arms - 1) + np.ones((arms - 1, arms - 1)))


def arm_group(
    studies: NDArray[np.int64],
    arms: NDArray[np.int64],
    contrasts: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> ArmGroup:
    """Turn contrasts against the first arm into independent ones.

    Parameters
    ----------
    studies : (k,) int array
        Index of each study.
    arms : (k, a) int array
        Treatments of the arms; the first is the one compared with.
    contrasts : (k, a - 1) array
        Arm j minus arm 0, for j = 1, ..., a - 1.
    covariance : (k, a - 1, a - 1) array
        Sampling covariance of these contrasts, symmetric.

    Returns
    -------
    ArmGroup
        `variance` may hold values that are not positive where a covariance is not positive definite; the caller
        knows the studies' labels and says so.
    """
    a = arms.shape[1]
    root = np.linalg.inv(np.linalg.cholesky(between_study_covariance(a)))
    values, vectors = np.linalg.eigh(root @ covariance @ root.T)
    basis = np.swapaxes(vectors, 1, 2) @ root  # rows turn contrasts into independent ones
    design = np.concatenate([-basis.sum(axis=2, keepdims=True), basis], axis=2)
    response = np.einsum("krc,kc->kr", basis, contrasts)
    return ArmGroup(studies, arms, design, response, values)
