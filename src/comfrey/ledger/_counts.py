"""The ledger's page of one-stage models for counts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from comfrey.ledger._effects import two_by_two, two_rates
from comfrey.ledger._entry import QUADRATURE, Tolerance
from comfrey.ledger._page import open_page
from comfrey.models.counts import count_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comfrey.ledger._entry import Entry

__all__ = ["PAGES"]

_LAPLACE = Tolerance(1e-2, 0.0, "with two random effects the reference falls back to one point (Laplace)")
_LAPLACE_LIKELIHOOD = Tolerance(1e-3, 0.0, "with two random effects the reference falls back to one point (Laplace)")
_ZERO = Tolerance(1e-6, 1e-8, "on the boundary; the reference stops at 1e-9 and not at zero")
_COMMON = {"b": "estimate", "se": "se", "tau2": "tau2"}
# Of models that the reference fits with lme4, its log-likelihood is the one given the modes of the random effects.
_CONDITIONAL = {**_COMMON, "loglik": "conditional_log_likelihood"}
_MARGINAL = {**_COMMON, "loglik": "log_likelihood"}
_TESTS = {"QE_Wld": "q_wald", "QE_LRT": "q_lr"}

# Key of the reference -> measure, model, where its log-likelihood is found.
_MODELS: dict[str, tuple[str, str, dict[str, str]]] = {
    "OR_CM.EL": ("OR", "conditional-exact", _MARGINAL | _TESTS),
    "OR_CM.AL": ("OR", "conditional-approximate", _CONDITIONAL | _TESTS),
    "OR_UM.FS": ("OR", "fixed-study", _CONDITIONAL | _TESTS),
    "OR_UM.RS": ("OR", "random-study", _COMMON | _TESTS),
    "IRR_CM.EL": ("IRR", "conditional-exact", _MARGINAL),
    "IRR_UM.FS": ("IRR", "fixed-study", _MARGINAL),
    "IRR_UM.RS": ("IRR", "random-study", _MARGINAL),
}


def _rule(key: str, name: str) -> Tolerance:
    if key.startswith("IRR") and name == "tau2":
        return _ZERO
    if key.endswith("UM.RS") and name in {"se", "tau2", "QE_Wld"}:
        return _LAPLACE
    if key.endswith("UM.RS") and name in {"b", "loglik"}:
        return _LAPLACE_LIKELIHOOD
    return QUADRATURE


def _two_arms() -> Iterator[Entry]:
    page = open_page("counts", "glmm")
    data = {"OR": two_by_two(page.data["bcg"]), "IRR": two_rates(page.data["warfarin"])}
    for key, (measure, model, names) in _MODELS.items():
        fit = count_model(measure, model=model, **data[measure])
        how = f"cf.count_model({measure!r}, model={model!r}, ...)"
        yield from page.entries(key, fit, names, how, partial(_rule, key))


def _one_arm() -> Iterator[Entry]:
    page = open_page("counts", "glmm")
    for key, data in (("PLO", page.data["vasospasm"]), ("PLO_rare", page.data["dmd"])):
        fit = count_model("PLO", cases=data["xi"], total=data["ni"])
        how = "cf.count_model('PLO', ...)"
        yield from page.entries(key, fit, _CONDITIONAL, how, QUADRATURE)
        if "pred" in page.results[key]:
            reading = fit.back_transformed()
            expected, how = page.results[key], f"{how}.back_transformed()"
            yield page.entry(f"{key}/pred", expected["pred"], reading["estimate"], how, QUADRATURE)
            for name in ("ci", "pi"):
                ends = (reading[f"{name}_low"], reading[f"{name}_high"])
                yield page.entry(f"{key}/{name}", expected[name], ends, how, QUADRATURE)


def _catheters() -> Iterator[Entry]:
    page = replace(open_page("counts", "catheters"), kind="publication")
    coarse = "the paper's program integrates more coarsely"
    for key, arm in (("PLO_control", 2), ("PLO_treatment", 1)):
        fit = count_model("PLO", cases=page.data[f"events_{arm}"], total=page.data[f"total_{arm}"])
        rules = {"estimate": Tolerance(0.0, 3e-4, coarse), "tau2": Tolerance(0.0, 1.5e-3, coarse)}
        names = {name: name for name in rules}
        yield from page.entries(key, fit, names, "cf.count_model('PLO', ...)", rules.__getitem__)
    trials = {name: values for name, values in page.data.items() if name != "study"}
    for key, model in (
        ("OR_conditional_exact", "conditional-exact"),
        ("OR_conditional_approximate", "conditional-approximate"),
    ):
        fit, how = count_model("OR", model=model, **trials), f"cf.count_model('OR', model={model!r}, ...)"
        rule = Tolerance(0.0, 1e-4, f"printed to 4 decimals; {coarse}")
        yield from page.entries(key, fit, {"estimate": "estimate"}, how, rule)
        if "tau" in page.results[key]:
            yield page.entry(f"{key}/tau", page.results[key]["tau"], fit.tau2**0.5, f"{how}.tau2 ** 0.5", rule)


_RARE = {"b": "estimate", "se": "se", "tau2": "tau2", "QW": "q_wald", "QL": "q_lr"}


def _rare() -> Iterator[Entry]:
    page = open_page("counts", "glmm_rare")
    data = page.data
    trials = {"events_1": data["ai"], "total_1": data["n1"], "events_2": data["ci"], "total_2": data["n2"]}
    rates = {"events_1": data["ai"], "time_1": data["t1"], "events_2": data["ci"], "time_2": data["t2"]}
    cases: dict[str, tuple[str, str | None, dict[str, list[float]]]] = {
        "OR_CM.AL": ("OR", "conditional-approximate", trials),
        "OR_UM.FS": ("OR", "fixed-study", trials),
        "IRR_CM.EL": ("IRR", "conditional-exact", rates),
        "PLO": ("PLO", None, {"cases": data["ai"], "total": data["n1"]}),
        "IRLN": ("IRLN", None, {"events": data["ai"], "time": data["t1"]}),
    }
    for key, (measure, model, counts) in cases.items():
        fit = count_model(measure, model=model, **counts)  # type: ignore[arg-type]  # columns by name
        yield from page.entries(key, fit, _RARE, f"cf.count_model({measure!r}, model={model!r}, ...)", QUADRATURE)


PAGES: tuple[Callable[[], Iterator[Entry]], ...] = (_two_arms, _one_arm, _catheters, _rare)
