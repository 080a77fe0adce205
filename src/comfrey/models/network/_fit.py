"""Fitting a network meta-analysis: :func:`network`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from comfrey.errors import InputError
from comfrey.models.network._contrasts import Contrasts
from comfrey.models.network._heterogeneity import Method, estimate_tau2
from comfrey.models.network._input import Rows, column, read_rows, structure_of
from comfrey.models.network._intervals import chi2_p, q_by_part
from comfrey.models.network._network import Network
from comfrey.models.network._solve import solve

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

    from comfrey.models.network._structure import Structure

__all__ = ["assemble", "network"]

_METHODS = ("EE", "DL", "ML", "REML")
_TESTS = ("z", "t", "hk")


def _choose_reference(structure: Structure, reference: str | None) -> str:
    if reference is None:
        return structure.treatments[int(np.argmax(structure.studies_per_treatment()))]
    if str(reference) not in structure.treatments:
        raise InputError(
            "reference", found=repr(reference), expected=f"one of the treatments ({', '.join(structure.treatments)})"
        )
    return str(reference)


def check_options(method: str, test: str, level: float, small_values: str | None) -> None:
    """Refuse options that do not exist."""
    if method not in _METHODS:
        raise InputError("method", found=repr(method), expected=f"one of {', '.join(_METHODS)}")
    if test not in _TESTS:
        raise InputError("test", found=repr(test), expected=f"one of {', '.join(_TESTS)}")
    if not (isinstance(level, (int, float)) and 0 < level < 1):
        raise InputError("level", found=level, expected="a probability between 0 and 1")
    if small_values not in {None, "desirable", "undesirable"}:
        raise InputError("small_values", found=repr(small_values), expected="'desirable' or 'undesirable'")


def network(
    yi: ArrayLike | str | Contrasts,
    vi: ArrayLike | str | None = None,
    treat_1: ArrayLike | str | None = None,
    treat_2: ArrayLike | str | None = None,
    study: ArrayLike | str | None = None,
    method: Literal["REML", "DL", "ML", "EE", "MH"] = "REML",
    *,
    small_values: Literal["desirable", "undesirable"] | None = None,
    test: Literal["z", "t", "hk"] = "z",
    level: float = 0.95,
    reference: str | None = None,
    measure: str | None = None,
    shared_tau2: bool = False,
    data: pd.DataFrame | None = None,
) -> Network:
    r"""Compare many treatments at once with all direct and indirect evidence.

    .. math:: y_s \sim N\{X_s \theta, V_s + \tau^2 \tfrac12 (I + J)\}

    for each study s, with y its contrasts against one arm, V their sampling covariance (from the variances of all
    its comparisons) and theta the effects, consistent over the network.

    Parameters
    ----------
    yi, vi : (m,) array-like or column names
        Effects (treatment 1 minus treatment 2, on the scale of analysis) and sampling variances. A study with a arms
        gives all a (a - 1) / 2 comparisons. Instead of these five, the result of :func:`comfrey.contrasts`.
    treat_1, treat_2, study : (m,) array-like or column names
        Labels.
    method : "REML", "DL", "ML", "EE" or "MH"
        Estimator of the between-study variance tau2; EE is the common-effect model. MH is the common-effect
        Mantel-Haenszel network of odds ratios, which needs the result of :func:`comfrey.contrasts`.
    small_values : "desirable" or "undesirable", optional
        Which direction is good; rankings need it.
    test : "z", "t" or "hk"
        Normal intervals; t with the degrees of freedom of Q; or t with variances multiplied by Q(tau2) / df.
    level : float
        Of the intervals.
    reference : str, optional
        What the summary compares with; by default the treatment with most studies.
    measure : str, optional
        Name of the effect measure, for labels; taken from the contrasts where these are given.
    shared_tau2 : bool
        In a network of several connected parts: one tau2 for all of them. By default each part is analysed by
        itself, as if it were the only one.
    data : DataFrame, optional
        Where column names point to.

    Returns
    -------
    Network

    Raises
    ------
    InputError
        For input that cannot be used; the message names the argument, the row and the study.
    ConvergenceError
        If the likelihood has no maximum that can be found.

    References
    ----------
    Rücker G. Res Synth Methods 2012;3:312-324, doi:10.1002/jrsm.1058.
    Rücker G, Schwarzer G. Stat Med 2014;33:4353-4369, doi:10.1002/sim.6236.
    Jackson D, White IR, Riley RD. Stat Med 2012;31:3805-3820, doi:10.1002/sim.5453.

    Examples
    --------
    >>> net = network([-0.5, -0.3, 0.1], [0.04, 0.05, 0.06], ["A", "B", "A"], ["C", "C", "B"], [1, 2, 3],
    ...               method="EE", small_values="desirable", reference="C")
    >>> net.effects.loc["A", "C"].round(4)
    np.float64(-0.42)
    >>> net.q_inconsistency_df
    1
    """
    if method in ("MH",):
        from comfrey.models.network._mantel_haenszel import mantel_haenszel_network

        check_options("EE", test, level, small_values)
        return mantel_haenszel_network(yi, small_values=small_values, level=level, reference=reference)
    check_options(method, test, level, small_values)
    notes: tuple[str, ...] = ()
    if isinstance(yi, Contrasts):
        source = yi
        measure, notes = source.measure, source.notes
        rows = read_rows(source.yi, source.vi, source.treat_1, source.treat_2, source.study)
    else:
        given = {"yi": yi, "vi": vi, "treat_1": treat_1, "treat_2": treat_2, "study": study}
        for name, value in given.items():
            if value is None:
                raise InputError(name, found="nothing", expected="an array, or contrasts as the only argument")
        rows = read_rows(*(column(value, name, data) for name, value in given.items()))
    structure, more = structure_of(rows)
    return assemble(
        rows, structure, method=method, test=test, level=level, small_values=small_values, reference=reference,
        measure=measure, shared_tau2=shared_tau2, notes=(*notes, *more),
    )  # fmt: skip


def assemble(
    rows: Rows,
    structure: Structure,
    *,
    method: str,
    test: str,
    level: float,
    small_values: str | None,
    reference: str | None,
    measure: str | None,
    shared_tau2: bool = False,
    notes: tuple[str, ...] = (),
    k: int | None = None,
    n_comparisons: int | None = None,
) -> Network:
    """Fit a network that has been read and checked."""
    chosen = _choose_reference(structure, reference)
    estimator = cast("Method", "EE" if method == "MH" else method)
    parts = structure.n_islands
    shared = shared_tau2 and parts > 1
    fits = [estimate_tau2(s, estimator) for s in ([structure] if shared else map(structure.part, range(parts)))]
    tau2 = np.full(parts, fits[0][0]) if shared else np.array([fit[0] for fit in fits])
    common = solve(structure, 0.0)
    random = common if not tau2.any() else solve(structure, tau2)
    one = parts == 1 or shared or estimator == "EE"
    df = structure.df
    q = common.q if df > 0 else 0.0
    q_parts = q_by_part(structure, common)[1]
    said = list(notes)
    if parts > 1:
        how = "with one tau2 for all" if shared else "each was analysed by itself"
        said.append(
            f"The network has {parts} parts that no study connects; {how}, and effects between them are not given "
            "(not a number)"
        )
    if estimator != "EE" and not (q_parts > 0).all():
        said.append(
            "Where Q has no degrees of freedom (no study repeats what others say), tau2 is set to 0, and t, "
            "Knapp-Hartung and prediction intervals are not given (not a number)"
        )
    if not one:
        said.append("tau2 is not one number here (not a number): each part has its own, see .parts")
    value = float(tau2[0]) if one else float("nan")
    return Network(
        treatments=structure.treatments,
        reference=chosen,
        method=method,
        test=test,
        level=float(level),
        measure=measure,
        small_values=small_values,
        k=structure.k if k is None else k,
        n_comparisons=rows.yi.size if n_comparisons is None else n_comparisons,
        n_parts=parts,
        tau2=value,
        tau=float(np.sqrt(value)),
        i2=100.0 * max(0.0, (q - df) / q) if q > 0 and df > 0 else 0.0,
        q=q,
        q_df=df,
        q_p=chi2_p(q, df),
        certificates=tuple(fit[1] for fit in fits),
        notes=tuple(said),
        _rows=rows,
        _structure=structure,
        _tau2=tau2,
        _common=common,
        _random=random,
    )
