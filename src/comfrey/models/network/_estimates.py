"""The numbers of a network meta-analysis: effects, intervals, heterogeneity."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from comfrey.errors import InputError
from comfrey.models._maximum import Certificate
from comfrey.models.network._designs import fit_designs
from comfrey.models.network._direct import Direct, direct_evidence
from comfrey.models.network._intervals import Pairs, Test, chi2_p, compare_pairs, q_by_part
from comfrey.models.network._ranking import p_scores
from comfrey.results import Result, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from comfrey.models.network._heterogeneity import Certificate as PartCertificate
    from comfrey.models.network._input import Rows
    from comfrey.models.network._solve import Solution
    from comfrey.models.network._structure import Structure

__all__ = ["NetworkEstimates"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class NetworkEstimates(Result):
    """A network meta-analysis; what goes beyond the fit is computed when it is asked for, and kept.

    Attributes
    ----------
    treatments : tuple of str
        Labels, sorted.
    reference : str
        What `summary` compares with.
    method, test, level, measure, small_values : str, str, float, str, str or None
        As asked for.
    k, n_comparisons : int
        Number of studies, and of comparisons (rows).
    n_parts : int
        Number of connected parts; effects between parts do not exist and are not a number.
    tau2, tau : float
        Between-study variance and its root; not a number where each of several parts has its own (see `parts`).
    i2 : float
        Percent of Q beyond its degrees of freedom.
    q, q_df, q_p : float, int, float
        Cochran's Q of the whole network under the common-effect model.
    certificates : tuple
        For each part, what is known of the maximum of the likelihood; None for closed forms.
    notes : tuple of str
        What to know: parts, adjustments, numbers that do not exist.
    """

    treatments: tuple[str, ...]
    reference: str
    method: str
    test: str
    level: float
    measure: str | None
    small_values: str | None
    k: int
    n_comparisons: int
    n_parts: int
    tau2: float
    tau: float
    i2: float
    q: float
    q_df: int
    q_p: float
    certificates: tuple[PartCertificate | None, ...]
    notes: tuple[str, ...]
    _rows: Rows
    _structure: Structure
    _tau2: NDArray[np.float64]
    _common: Solution
    _random: Solution
    _cache: dict[str, Any] = field(default_factory=dict)

    def _keep(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._cache:
            self._cache[name] = make()
        return self._cache[name]

    # --- effects ---------------------------------------------------------------------------------------------

    @property
    def _pairs(self) -> Pairs:
        make = lambda: compare_pairs(  # noqa: E731  # deferred, so that nothing is computed before it is asked for
            self._structure, self._random, self._tau2, cast("Test", self.test), self.level,
            predict=self.method in {"DL", "ML", "REML"},
        )  # fmt: skip
        return cast("Pairs", self._keep("pairs", make))

    @property
    def _common_pairs(self) -> Pairs:
        make = lambda: compare_pairs(  # noqa: E731  # as above
            self._structure, self._common, np.zeros(self.n_parts), "z", self.level, predict=False
        )
        return cast("Pairs", self._keep("common pairs", make))

    def _frame(self, values: NDArray[Any]) -> pd.DataFrame:
        index = pd.Index(self.treatments, name="treatment")
        return pd.DataFrame(values, index=index, columns=index, copy=True)

    def _series(self, values: NDArray[np.float64], name: str) -> pd.Series:
        return pd.Series(values, index=pd.Index(self.treatments, name="treatment"), name=name)

    @property
    def effects(self) -> pd.DataFrame:
        """Effects under the model asked for: row treatment minus column treatment."""
        return self._frame(self._pairs.estimate)

    @property
    def standard_errors(self) -> pd.DataFrame:
        """Standard errors of `effects`."""
        return self._frame(self._pairs.se)

    @property
    def ci_low(self) -> pd.DataFrame:
        """Lower confidence limits of `effects`."""
        return self._frame(self._pairs.ci_low)

    @property
    def ci_high(self) -> pd.DataFrame:
        """Upper confidence limits of `effects`."""
        return self._frame(self._pairs.ci_high)

    @property
    def p_values(self) -> pd.DataFrame:
        """Two-sided p-values of `effects`."""
        return self._frame(self._pairs.p_value)

    @property
    def pi_low(self) -> pd.DataFrame:
        """Lower limits of the prediction intervals; a t quantile with the degrees of freedom of Q."""
        return self._frame(self._pairs.pi_low)

    @property
    def pi_high(self) -> pd.DataFrame:
        """Upper limits of the prediction intervals."""
        return self._frame(self._pairs.pi_high)

    @property
    def common_effects(self) -> pd.DataFrame:
        """Effects under the common-effect model."""
        return self._frame(self._common_pairs.estimate)

    @property
    def common_standard_errors(self) -> pd.DataFrame:
        """Standard errors of `common_effects`."""
        return self._frame(self._common_pairs.se)

    @property
    def covariance(self) -> pd.DataFrame:
        """Covariance of the effects against the first treatment of each part (whose own row is zero)."""
        return self._frame(self._random.inverse)

    # --- heterogeneity and inconsistency ---------------------------------------------------------------------

    @property
    def _q_parts(self) -> tuple[float, int]:
        designs = self._keep("common designs", lambda: fit_designs(self._structure, 0.0))
        return sum(d.q for d in designs), sum(d.df for d in designs)

    @property
    def q_heterogeneity(self) -> float:
        """Q within designs: studies of the same design that disagree."""
        return self._q_parts[0]

    @property
    def q_heterogeneity_df(self) -> int:
        """Degrees of freedom of `q_heterogeneity`."""
        return self._q_parts[1]

    @property
    def q_heterogeneity_p(self) -> float:
        """P-value of `q_heterogeneity`; not a number without degrees of freedom (no design has two studies)."""
        return chi2_p(*self._q_parts)

    @property
    def q_inconsistency(self) -> float:
        """Q between designs: direct and indirect evidence that disagree."""
        return max(0.0, self.q - self._q_parts[0]) if self.q_inconsistency_df else 0.0

    @property
    def q_inconsistency_df(self) -> int:
        """Degrees of freedom of `q_inconsistency`: the loops that can disagree."""
        return self.q_df - self._q_parts[1]

    @property
    def q_inconsistency_p(self) -> float:
        """P-value of `q_inconsistency`; not a number in a network without loops."""
        return chi2_p(self.q_inconsistency, self.q_inconsistency_df)

    @property
    def parts(self) -> pd.DataFrame:
        """One row a connected part: its treatments, studies, heterogeneity and Q."""
        q, df = q_by_part(self._structure, self._common)
        table = []
        for i in range(self.n_parts):
            inside = self._structure.island == i
            table.append(
                {
                    "treatments": ", ".join(t for t, here in zip(self.treatments, inside, strict=True) if here),
                    "n_treatments": int(inside.sum()),
                    "k": int((self._structure.island_of_study == i).sum()),
                    "tau2": float(self._tau2[i]),
                    "q": float(q[i]),
                    "df": int(df[i]),
                    "p_value": chi2_p(float(q[i]), int(df[i])),
                }
            )
        return pd.DataFrame(table, index=pd.Index(range(1, self.n_parts + 1), name="part"))

    def _direction(self) -> str:
        if self.small_values is None:
            raise InputError(
                "small_values", found="nothing", expected="'desirable' or 'undesirable'",
                fix="A ranking needs to know which direction is good: give small_values= to comfrey.network",
            )  # fmt: skip
        return self.small_values

    def _one_part(self, purpose: str) -> None:
        if self.n_parts > 1:
            raise InputError(
                "network", found=f"{self.n_parts} parts that no study connects",
                expected=f"a connected network for {purpose}", fix="Ask each of .subnetworks",
            )  # fmt: skip

    @property
    def _direct(self) -> Direct:
        make = lambda: direct_evidence(self._rows, self._structure, self._tau2)  # noqa: E731  # deferred
        return cast("Direct", self._keep("direct", make))

    @property
    def p_scores(self) -> pd.Series:
        """P-scores under the model asked for, by treatment; within its part of the network."""
        return self._series(p_scores(self._pairs.estimate, self._pairs.se, self._direction()), "p_score")

    @property
    def common_p_scores(self) -> pd.Series:
        """P-scores under the common-effect model."""
        pairs = self._common_pairs
        return self._series(p_scores(pairs.estimate, pairs.se, self._direction()), "p_score")

    @property
    def summary(self) -> pd.DataFrame:
        """One row a treatment: its effect against the reference of its part, best first if the direction is known."""
        base = np.full(self.n_parts, -1)
        base[self._structure.island[self.treatments.index(self.reference)]] = self.treatments.index(self.reference)
        studies = self._structure.studies_per_treatment()
        for part in np.flatnonzero(base < 0):
            inside = np.flatnonzero(self._structure.island == part)
            base[part] = inside[int(np.argmax(studies[inside]))]
        rows, columns = np.arange(len(self.treatments)), base[self._structure.island]
        keep = rows != columns
        pairs, at = self._pairs, (rows[keep], columns[keep])
        names = np.asarray(self.treatments)
        table = pd.DataFrame(
            {
                "compared_with": names[columns[keep]],
                "k": studies[rows[keep]],
                "estimate": pairs.estimate[at],
                "se": pairs.se[at],
                "ci_low": pairs.ci_low[at],
                "ci_high": pairs.ci_high[at],
                "statistic": pairs.statistic[at],
                "p_value": pairs.p_value[at],
                "pi_low": pairs.pi_low[at],
                "pi_high": pairs.pi_high[at],
            },
            index=pd.Index(names[keep], name="treatment"),
        )
        if self.small_values is not None:
            table["p_score"] = self.p_scores.to_numpy()[keep]
            table = table.sort_values("p_score", ascending=False, kind="stable")
        return table

    @property
    def certificate(self) -> Certificate:
        """What is known about the search for tau2, over all parts: the largest gradient, the most local maxima.

        A closed form is its own proof.
        """
        some = [part for part in self.certificates if part is not None]
        if not some:
            return Certificate(True, 0, 0.0, False, 1, True)
        return Certificate(
            converged=all(part.converged for part in some),
            iterations=sum(part.iterations or 0 for part in some),
            gradient=max((part.gradient for part in some), key=abs),
            boundary=any(part.boundary for part in some),
            local_maxima=max(part.local_maxima for part in some),
            global_maximum=False,
        )

    @property
    def headline(self) -> tuple[str, ...]:
        """What was fitted and how it fits."""
        model = (
            "common-effect"
            if self.method == "EE"
            else self.method
            if self.method == "MH"
            else f"random-effects ({self.method})"
        )
        interval = {"z": "normal", "t": "t", "hk": "Knapp-Hartung"}[self.test]
        measure = f" of {self.measure}" if self.measure else ""
        lines = [
            f"Network meta-analysis{measure}: {len(self.treatments)} treatments, {self.k} studies, "
            f"{self.n_comparisons} comparisons",
            f"Model: {model}; {100 * self.level:g}% {interval} intervals; effects against {self.reference}",
        ]
        if np.isfinite(self.tau2):
            lines.append(
                f"tau2 = {self.tau2:.4f}, I2 = {self.i2:.1f}%, Q = {self.q:.2f} (df {self.q_df}, p {_p(self.q_p)})"
            )
        else:
            lines.append(f"Q = {self.q:.2f} (df {self.q_df}, p {_p(self.q_p)}); tau2 of each part: see .parts")
        return (*lines, *self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Every public field, the effects against the reference and the decomposition of Q, as plain JSON values."""
        result = Result.to_dict(self)
        result["certificates"] = [plain(None if c is None else asdict(c)) for c in self.certificates]
        for name in ("q_heterogeneity", "q_inconsistency"):
            for suffix in ("", "_df", "_p"):
                result[name + suffix] = plain(getattr(self, name + suffix))
        result["parts"] = plain(self.parts)
        result["effects"] = plain(self.summary.reset_index())
        return result


def _p(value: float) -> str:
    return "not available" if np.isnan(value) else f"{value:.4f}" if value >= 1e-4 else "< 0.0001"
