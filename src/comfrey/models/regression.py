"""Meta-regression: how effects differ with moderators, by formula."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from comfrey.effects.measure import harmonic_mean
from comfrey.errors import InputError, NotEstimableError
from comfrey.models._design import Design, build_design
from comfrey.models._fit import fit_model, quantile
from comfrey.models._fitted import Fitted
from comfrey.models._wald import WaldTest, check_combinations, wald_test
from comfrey.results import plain

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.effects.measure import Array
    from comfrey.models._input import Studies

__all__ = ["MetaRegression", "WaldTest", "regress"]


@dataclass(frozen=True, slots=True, repr=False, eq=False, kw_only=True)
class MetaRegression(Fitted):
    """A fitted meta-regression, on the scale of analysis.

    Attributes
    ----------
    names : tuple of str
        Names of the p coefficients.
    beta, se, statistic, p_value, ci_low, ci_high : arrays of shape (p,)
    covariance : array of shape (p, p)
    df : float or None
        Of the t tests; None for z.
    omnibus : WaldTest
        Test of all moderators together (all coefficients but the intercept).
    r2 : float
        Share of tau2 that the moderators explain, in percent; not-a-number without an intercept.
    tau2_without : float
        tau2 of the model without moderators.
    design : Design
        Formula and model matrix.
    """

    names: tuple[str, ...]
    beta: Array
    covariance: Array
    se: Array
    statistic: Array
    p_value: Array
    ci_low: Array
    ci_high: Array
    df: float | None
    omnibus: WaldTest
    r2: float
    tau2_without: float
    design: Design

    @property
    def X(self) -> Array:  # noqa: N802  # the literature's name
        """Model matrix, shape (k, p)."""
        return self.design.matrix

    @property
    def coefficients(self) -> pd.DataFrame:
        """One row a coefficient: term, estimate, se, statistic, df, p_value, ci_low, ci_high."""
        import pandas as pd

        return pd.DataFrame(
            {
                "term": self.names,
                "estimate": self.beta,
                "se": self.se,
                "statistic": self.statistic,
                "df": np.full(len(self.names), math.nan if self.df is None else self.df),
                "p_value": self.p_value,
                "ci_low": self.ci_low,
                "ci_high": self.ci_high,
            }
        )

    @property
    def summary(self) -> pd.DataFrame:
        """The coefficients, by term."""
        return self.coefficients.set_index("term")

    @property
    def headline(self) -> tuple[str, ...]:
        """Model, method and test in words; heterogeneity left; the test of all moderators."""
        what = "" if self.measure is None else f" of {self.measure.analysis_label}"
        test = "z tests" if self.df is None else f"{self.test} tests with {self.df:g} degrees of freedom"
        omnibus = self.omnibus
        kind = (
            f"chi-squared({omnibus.df})"
            if omnibus.df_denominator is None
            else f"F({omnibus.df}, {omnibus.df_denominator:g})"
        )
        lines = [
            f"Meta-regression{what} on {self.design.formula}, {self.k} studies",
            f"tau2 by {self.method}: {self.tau2:.4g} (I2 {self.i2:.1f} %, R2 {self.r2:.1f} %)",
            f"{test}; {self.level:.0%} intervals",
            f"residual Q({self.q_df}) = {self.q:.4g}, p = {self.q_p:.4g}",
        ]
        if omnibus.df:
            lines.append(f"all moderators: {kind} = {omnibus.statistic:.4g}, p = {omnibus.p_value:.4g}")
        return (*lines, *(f"left out: {text}" for text in self.dropped), *(f"note: {text}" for text in self.notes))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; measure and formula by their names."""
        out = Fitted.to_dict(self)
        out["design"] = {"formula": self.design.formula, "matrix": self.design.matrix.tolist()}
        out["omnibus"] = plain(self.omnibus._asdict())
        return out

    def predict(self, new_data: Any = None, *, scale: Literal["analysis", "reading"] = "analysis") -> pd.DataFrame:
        """Predict the mean effect, and where a new study's true effect is expected, at moderator values.

        Parameters
        ----------
        new_data : DataFrame or mapping, optional
            One row a prediction, with the formula's variables; left out, the studies themselves.
        scale : {"analysis", "reading"}
            "reading" brings estimates and limits to the scale that people read (ratios, proportions), which has no
            standard error. It needs effect sizes that know their measure.

        Returns
        -------
        DataFrame
            estimate, se (on the scale of analysis only), ci_low, ci_high, pi_low, pi_high.

        Raises
        ------
        InputError
            If a variable is missing or holds a value that the formula cannot use.
        """
        import pandas as pd

        if scale not in {"analysis", "reading"}:
            raise InputError("scale", found=repr(scale), expected="'analysis' or 'reading'")
        if scale == "reading" and self.measure is None:
            fix = "Give pool() the result of effect_sizes()."
            raise InputError("scale", found="'reading'", expected="effect sizes that know their measure", fix=fix)
        rows = self.X if new_data is None else self.design.for_new(new_data)
        estimate = rows @ self.beta
        variance = np.einsum("ij,jk,ik->i", rows, self.covariance, rows)
        reach = quantile(self.level, self.df)
        half, wide = reach * np.sqrt(variance), reach * np.sqrt(variance + self.tau2)
        table = {"estimate": estimate, "se": np.sqrt(variance), "ci_low": estimate - half, "ci_high": estimate + half}
        if self.method == "EE":
            wide = np.full(estimate.size, math.nan)  # one true effect: nothing to predict
        frame = pd.DataFrame({**table, "pi_low": estimate - wide, "pi_high": estimate + wide})
        if scale == "analysis" or self.measure is None:
            return frame
        n = harmonic_mean(self.n) if self.n is not None and self.measure.scale.needs_n else None
        back = self.measure.back_transform
        return frame.drop(columns="se").apply(lambda column: back(column, n))

    def contrast(self, combinations: object) -> pd.DataFrame:
        """Estimate and test linear combinations of the coefficients; `.attrs["joint"]` holds the test of all at once.

        Parameters
        ----------
        combinations : array of shape (m, p) or (p,), str, or list of str
            Weights of the coefficients, or equations over their names, such as ``"latitude = 0"`` (names with other
            signs than letters go in backticks).

        Returns
        -------
        DataFrame
            combination, estimate (minus the right-hand side), se, statistic, p_value, ci_low, ci_high.
        """
        import pandas as pd

        matrix, values, labels = self._constraints(combinations)
        check_combinations(matrix, labels)
        estimate = matrix @ self.beta - values
        covariance = matrix @ self.covariance @ matrix.T
        se = np.sqrt(np.diag(covariance))
        if not (se > 0).all():
            raise NotEstimableError("the model fits perfectly: there is no error to test a combination by")
        statistic = estimate / se
        half = quantile(self.level, self.df) * se
        table = pd.DataFrame(
            {
                "combination": labels,
                "estimate": estimate,
                "se": se,
                "statistic": statistic,
                "p_value": _p_values(statistic, self.df),
                "ci_low": estimate - half,
                "ci_high": estimate + half,
            }
        )
        table.attrs["joint"] = wald_test(estimate, covariance, self.df)
        return table

    def _constraints(self, combinations: Any) -> tuple[Array, Array, list[str]]:
        if isinstance(combinations, str) or (
            isinstance(combinations, (list, tuple)) and combinations and isinstance(combinations[0], str)
        ):
            from formulaic.utils.constraints import LinearConstraints

            texts = [combinations] if isinstance(combinations, str) else list(combinations)
            try:
                parsed = LinearConstraints.from_spec(texts, variable_names=list(self.names))
            except Exception as error:  # noqa: BLE001  # the parser raises many kinds; each is bad input
                fix = f"Names: {', '.join(self.names)}. {str(error).splitlines()[0]}"
                raise InputError(
                    "combinations", found=repr(texts), expected="equations over the coefficients", fix=fix
                ) from None
            return np.asarray(parsed.constraint_matrix, float), np.asarray(parsed.constraint_values, float), texts
        matrix = np.atleast_2d(np.asarray(combinations, dtype=float))
        if matrix.shape[1] != len(self.names):
            raise InputError(
                "combinations",
                found=f"{matrix.shape[1]} weights",
                expected=f"{len(self.names)}: {', '.join(self.names)}",
            )
        return matrix, np.zeros(len(matrix)), [f"row {row}" for row in range(len(matrix))]

    def test_term(self, term: str) -> WaldTest:
        """Test all coefficients of one term at once: all levels of a category, all parts of a spline."""
        if term not in self.design.terms:
            raise InputError("term", found=repr(term), expected=f"one of {', '.join(self.design.terms)}")
        part = self.design.terms[term]
        return wald_test(self.beta[part], self.covariance[part, part], self.df)

    def vif(self) -> pd.DataFrame:
        """Variance inflation by term: generalised for terms of several columns (Fox & Monette 1992).

        Columns: term, df, vif, root (``vif^(1/2df)``, comparable between terms; doi:10.1080/01621459.1992.10475190).
        """
        import pandas as pd

        others = [index for index, name in enumerate(self.names) if name != "Intercept"]
        table = []
        covariance = np.linalg.inv((self.X * self.weights[:, None]).T @ self.X)
        size = np.sqrt(np.diag(covariance))
        correlation = covariance / np.outer(size, size)
        for term, part in self.design.terms.items():
            own = [index for index in range(len(self.names))[part] if index in others]
            rest = [index for index in others if index not in own]
            if own:
                blocks = [float(np.linalg.det(correlation[np.ix_(rows, rows)])) for rows in (own, rest, others)]
                value = blocks[0] * blocks[1] / blocks[2]
                table.append({"term": term, "df": len(own), "vif": value, "root": value ** (0.5 / len(own))})
        return pd.DataFrame(table, columns=["term", "df", "vif", "root"])


def _p_values(statistic: Array, df: float | None) -> Array:
    size = -np.abs(statistic)
    return np.asarray(2.0 * (special.ndtr(size) if df is None else special.stdtr(df, size)), dtype=float)


def _only_rounding(yi: Array, total: Array, factor: float) -> bool:
    """Whether the residuals that Knapp and Hartung's factor is made of are no more than rounding."""
    largest = float(np.max(np.abs(yi) / np.sqrt(total)))
    return math.sqrt(factor) <= 1e-14 * largest


def regress(
    studies: Studies, moderators: object, data: Any, method: str, test: str, level: float, tau2: float | None
) -> MetaRegression:
    """Fit a meta-regression to checked studies (:func:`comfrey.pool` with `moderators`)."""
    design, studies = build_design(moderators, data, studies)
    fit = fit_model(studies.yi, studies.vi, design.matrix, method, test, tau2)
    k, p = design.matrix.shape
    df = None if test == "z" else float(k - p)
    if test == "hk" and _only_rounding(studies.yi, studies.vi + fit.tau2, fit.hk_factor):
        fit = fit._replace(covariance=np.zeros_like(fit.covariance), hk_factor=0.0)
    se = np.sqrt(np.diag(fit.covariance))
    notes = list(design.notes)
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic = np.where(se > 0, fit.beta / se, math.nan)
    if not (se > 0).all():
        notes.append(
            "the model fits perfectly: the Knapp-Hartung error is zero and there is no test; use test='hk-adhoc'"
        )
    half = quantile(level, df) * se
    tested = [index for index, name in enumerate(design.names) if name != "Intercept"]
    omnibus = WaldTest(math.nan, len(tested), df, math.nan)
    if (se > 0).all():
        omnibus = wald_test(fit.beta[tested], fit.covariance[np.ix_(tested, tested)], df)
    without, r2 = math.nan, math.nan
    if not design.intercept:
        notes.append("no R2: the model has no intercept")
    elif method == "EE" or tau2 is not None:
        notes.append("no R2: tau2 is held fixed")
    else:
        without = fit_model(studies.yi, studies.vi, None, method, test).tau2
        if without > 0:
            r2 = max(0.0, 100.0 * (1.0 - fit.tau2 / without))
        else:
            notes.append("no R2: there is no heterogeneity without the moderators")
    if math.isnan(fit.se_tau2):
        notes.append("no standard error of tau2")
    return MetaRegression(
        names=design.names,
        beta=fit.beta,
        covariance=fit.covariance,
        se=se,
        statistic=statistic,
        p_value=_p_values(statistic, df),
        ci_low=fit.beta - half,
        ci_high=fit.beta + half,
        df=df,
        omnibus=omnibus,
        r2=r2,
        tau2_without=without,
        method=method,
        test=test,
        level=level,
        design=design,
        notes=tuple(notes),
        _fit=fit,
        _studies=studies,
    )
