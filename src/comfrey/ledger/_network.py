"""The ledger's pages of network and component network meta-analysis."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from comfrey.ledger._entry import EXACT, ITERATIVE, Tolerance
from comfrey.ledger._page import Page, open_page
from comfrey.models.network import components, contrasts, network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comfrey.ledger._entry import Entry
    from comfrey.models.network import Network

__all__ = ["COMPONENT_PAGES", "PAGES"]

_CLOSED = Tolerance(1e-9, 1e-11, "closed form through the inverse of a matrix")
_SPLIT = Tolerance(1e-8, 1e-10, "direct and indirect parts are differences of nearly equal numbers")
_SHARE = Tolerance(1e-10, 1e-10, "shares of one: what is small is measured against one")
_MATRICES = {
    "TE_random": "effects", "seTE_random": "standard_errors", "TE_common": "common_effects",
    "seTE_common": "common_standard_errors", "lower_random": "ci_low", "upper_random": "ci_high",
    "lower_predict": "pi_low", "upper_predict": "pi_high",
}  # fmt: skip
_COMMON = ("TE_common", "seTE_common")
_SUMMARY = {
    "Q": "q", "p": "q_p", "Q_het": "q_heterogeneity", "Q_inc": "q_inconsistency", "p_inc": "q_inconsistency_p",
    "tau": "tau", "tau2": "tau2",
}  # fmt: skip
_COUNTS = {
    "df": "q_df", "df_het": "q_heterogeneity_df", "df_inc": "q_inconsistency_df", "k": "k", "m": "n_comparisons",
}  # fmt: skip
_SPLIT_COLUMNS = {
    "k": "k", "prop": "proportion", "direct": "direct", "indirect": "indirect", "diff": "difference",
    "se_diff": "se_difference", "p": "p_value",
}  # fmt: skip
_UNDESIRABLE = {"nma_smoking", "nma_depression"}
# The order in which equally short paths are taken is not part of the method: these two networks have no such tie.
_WITHOUT_TIES = {"nma_smoking", "nma_parkinson"}


def _frame(table: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(np.array(table["values"], dtype=float), index=table["rows"], columns=table["cols"])


def _fit(page: Page, method: str) -> tuple[Network, str]:
    d = page.data
    small: Any = "undesirable" if page.name in _UNDESIRABLE else "desirable"
    net = network(
        d["TE"], np.square(d["seTE"]), d["treat1"], d["treat2"], d["studlab"], method=method,  # type: ignore[arg-type]
        small_values=small,
    )  # fmt: skip
    return net, f"cf.network(yi, vi, treat_1, treat_2, study, method={method!r})"


def _matrices(page: Page, net: object, how: str, names: dict[str, str]) -> Iterator[Entry]:
    """Compare matrices of pairs of treatments, leaving out the diagonals."""
    for theirs, ours in names.items():
        want = _frame(page.results[theirs])
        off = ~np.eye(len(want), dtype=bool)
        got = getattr(net, ours).loc[want.index, want.columns]
        yield page.entry(theirs, want.to_numpy()[off], got.to_numpy()[off], f"{how}.{ours}", _CLOSED)


def _moments(name: str) -> Iterator[Entry]:
    page = open_page("network", name)
    net, how = _fit(page, "DL")
    yield from page.entries("summary", net, _SUMMARY, how, _CLOSED)
    yield from page.entries("summary", net, _COUNTS, how, EXACT)
    yield page.entry("summary/I2", 100 * page.results["summary"]["I2"], net.i2, f"{how}.i2", _CLOSED)
    yield from _matrices(page, net, how, _MATRICES)
    for theirs, scores in (("pscore_random", net.p_scores), ("pscore_common", net.common_p_scores)):
        expected = page.results[theirs]
        ours = "p_scores" if theirs.endswith("random") else "common_p_scores"
        yield page.entry(theirs, list(expected.values()), scores.loc[list(expected)], f"{how}.{ours}", _SHARE)
    yield from _split(page, net, how)
    yield from _designs(page, net, how)
    yield from _contributions(page, net, how)
    names = _frame(page.results["TE_random"]).index
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    paths = net.evidence_paths
    rows = paths.loc[[pair if pair in paths.index else pair[::-1] for pair in pairs]]
    for theirs, ours in (
        ("proportion", "proportion"),
        ("meanpath", "mean_path_length"),
        ("minpar", "minimal_parallelism"),
    ):
        want = page.results["measures"][theirs]
        yield page.entry(f"measures/{theirs}", want, rows[ours], f"{how}.evidence_paths[{ours!r}]", _CLOSED)


def _split(page: Page, net: Network, how: str) -> Iterator[Entry]:
    want, table = page.results["netsplit_random"], net.split()
    rows, signs = [], []
    for label in want["comparison"]:
        a, b = label.split(":")
        signs.append(1.0 if (a, b) in table.index else -1.0)
        rows.append((a, b) if signs[-1] > 0 else (b, a))
    for theirs, ours in _SPLIT_COLUMNS.items():
        sign = np.array(signs) if ours in {"direct", "indirect", "difference"} else 1.0
        values = table[ours].loc[rows].to_numpy(dtype=float) * sign
        rule = EXACT if theirs == "k" else _SPLIT
        yield page.entry(f"netsplit_random/{theirs}", want[theirs], values, f"{how}.split()[{ours!r}]", rule)


def _designs(page: Page, net: Network, how: str) -> Iterator[Entry]:
    want, got, how = page.results["decomp_design"], net.designs(), f"{how}.designs()"
    place = {frozenset(name.split(":")): name for name in got.within.index}
    for theirs, frame, ours in (("Q_het_design", got.within, "within"), ("Q_inc_detach", got.detached, "detached")):
        table = frame.loc[[place[frozenset(d.split(":"))] for d in want[theirs]["design"]]]
        yield page.entry(f"decomp_design/{theirs}/Q", want[theirs]["Q"], table["q"], f"{how}.{ours}['q']", _CLOSED)
        yield page.entry(f"decomp_design/{theirs}/df", want[theirs]["df"], table["df"], f"{how}.{ours}['df']", EXACT)
    total = got.decomposition["q"]
    yield page.entry("decomp_design/Q_decomp/Q", want["Q_decomp"]["Q"], total, f"{how}.decomposition['q']", _CLOSED)
    random = want["Q_inc_random"]
    yield page.entry("decomp_design/Q_inc_random/Q", random["Q"], got.q_random, f"{how}.q_random", _CLOSED)
    yield page.entry("decomp_design/Q_inc_random/df", random["df"], got.q_random_df, f"{how}.q_random_df", EXACT)
    within = float(np.sqrt(got.tau2_within))
    quantity = "decomp_design/Q_inc_random/tau.within"
    yield page.entry(quantity, random["tau.within"], within, f"{how}.tau2_within ** 0.5", _CLOSED)


def _contributions(page: Page, net: Network, how: str) -> Iterator[Entry]:
    for kind, key in (("random-walk", "randomwalk"), ("shortest-path", "shortestpath")):
        if kind == "shortest-path" and page.name not in _WITHOUT_TIES:
            continue
        want, table = _frame(page.results[f"contribution_{key}_random"]), net.contributions(kind)  # type: ignore[arg-type]
        rows = {frozenset(i): i for i in table.index}
        columns = {frozenset(c): c for c in table.columns}
        got = table.loc[
            [rows[frozenset(r.split(":"))] for r in want.index],
            [columns[frozenset(c.split(":"))] for c in want.columns],
        ]
        quantity, call = f"contribution_{key}_random", f"{how}.contributions({kind!r})"
        yield page.entry(quantity, want.to_numpy(), got.to_numpy(), call, _SHARE)


def _likelihood(method: str) -> Iterator[Entry]:
    """ML and REML: what does not rest on tau2, and tau2 with its correction."""
    page = open_page("network", f"nma_diabetes_{method}")
    net, how = _fit(page, method)
    yield from page.entries("summary", net, {name: ours for name, ours in _SUMMARY.items() if name != "tau"}, how,
                            lambda name: ITERATIVE if name == "tau2" else _CLOSED)  # fmt: skip
    yield from page.entries("summary", net, _COUNTS, how, EXACT)
    yield from _matrices(page, net, how, {name: _MATRICES[name] for name in _COMMON})


def _mantel_haenszel() -> Iterator[Entry]:
    page = open_page("network", "nma_smoking_mh")
    d = page.data
    arms = pd.DataFrame(
        [
            (i, d[f"treat{j}"][i], d[f"event{j}"][i], d[f"n{j}"][i])
            for i in range(len(d["treat1"]))
            for j in (1, 2, 3)
            if d[f"treat{j}"][i]
        ],
        columns=["study", "treatment", "events", "total"],
    )
    rows = contrasts(arms, "OR", study="study", treatment="treatment", events="events", total="total")
    net, how = network(rows, method="MH"), "cf.network(cf.contrasts(arms, 'OR', ...), method='MH')"
    yield from _matrices(page, net, how, {"TE": "effects", "seTE": "standard_errors"})
    yield from page.entries("Q", net, {"Q_inc": "q", "p_inc": "q_p"}, how, _CLOSED)
    yield from page.entries("Q", net, {"df_inc": "q_df", "k": "k", "m": "n_comparisons"}, how, EXACT)


_COMPONENTS = {
    "Q_additive": "q", "p_additive": "q_p", "Q_standard": "q_standard", "Q_diff": "q_difference",
    "p_diff": "q_difference_p", "tau": "tau",
}  # fmt: skip


def _component_model(name: str) -> Iterator[Entry]:
    page = open_page("components", name)
    net, how = _fit(page, "DL")
    model, how = components(net, inactive="placebo"), f"cf.components({how}, inactive='placebo')"
    for frame, kind, ours in (
        (model.components, "random", "components"),
        (model.common_components, "common", "common_components"),
    ):
        table = frame.set_index("term").loc[page.results["components"]]
        for theirs, column in ((f"comp_TE_{kind}", "estimate"), (f"comp_se_{kind}", "se")):
            yield page.entry(theirs, page.results[theirs], table[column], f"{how}.{ours}[{column!r}]", _CLOSED)
    yield from page.entries("", model, _COMPONENTS, how, _SPLIT)
    yield from page.entries("", model, {"df_additive": "q_df", "df_diff": "q_difference_df"}, how, EXACT)
    yield from _matrices(page, model, how, {"TE_random": "effects", "seTE_random": "standard_errors"})


PAGES: tuple[Callable[[], Iterator[Entry]], ...] = (
    *(partial(_moments, name) for name in ("nma_diabetes_DL", "nma_smoking", "nma_parkinson", "nma_depression")),
    *(partial(_likelihood, method) for method in ("REML", "ML")),
    _mantel_haenszel,
)
COMPONENT_PAGES: tuple[Callable[[], Iterator[Entry]], ...] = tuple(
    partial(_component_model, name) for name in ("cnma_depression", "cnma_depression_discomb")
)
