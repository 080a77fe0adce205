"""What is timed: each case with its data, the call of every program, and the target."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import data
import numpy as np

import comfrey as cf


@dataclass(frozen=True)
class Case:
    """One line of the table.

    `ours` takes the data and gives the call to time. `metafor` is an R expression on the data frame `d` (`before` is
    run first, untimed); `share` is the part of the work that R does, where all of it would take too long. The Python
    programs are expressions on arrays, see others.py. `at_least` are the ratios asked for, `within` the seconds.
    """

    id: str
    title: str
    make: Callable[[], dict[str, Any]]
    ours: Callable[[dict[str, Any]], Callable[[], object]]
    metafor: str = ""
    before: str = ""
    share: float = 1.0
    slow: bool = False  # minutes in R: only with --full
    stock: bool = True  # also with R's own BLAS
    python: dict[str, str] = field(default_factory=dict)
    at_least: dict[str, float] = field(default_factory=dict)
    within: float = 0.0
    note: str = ""


def arrays(d, *names):
    return [np.asarray(d[name]) for name in names]


def pool(d):
    yi, vi = arrays(d, "yi", "vi")
    return lambda: cf.pool(yi, vi)


def pool_many(d):
    yi, vi, group = arrays(d, "yi", "vi", "group")
    return lambda: cf.pool_many(yi, vi, group)


def numpy_pass(d):
    """Inverse-variance means and Q of all sets: what any of the methods needs at the very least."""
    yi, vi = (x.reshape(-1, 10) for x in arrays(d, "yi", "vi"))

    def call():
        w = 1 / vi
        total = w.sum(axis=1)
        mean = (w * yi).sum(axis=1) / total
        return mean, total, (w * (yi - mean[:, None]) ** 2).sum(axis=1)

    return call


def three_level(d):
    frame = {name: np.asarray(values) for name, values in d.items()}
    return lambda: cf.multilevel("yi", "vi", random="study/effect", data=frame)


def profile(d):
    fit = three_level(d)()
    return lambda: [fit.profile_interval("sigma2", i) for i in (0, 1)]


def leave_one_out(d):
    fit = pool(d)()
    return fit.leave_one_out


def influence(d):
    fit = pool(d)()
    return fit.influence


def subsets(method):
    def ours(d):
        fit = cf.pool(*arrays(d, "yi", "vi"), method=method)
        return fit.subsets

    return ours


def conditional(d):
    a, b, c, e = arrays(d, "ai", "bi", "ci", "di")
    table = {"events_1": a, "total_1": a + b, "events_2": c, "total_2": c + e}
    return lambda: cf.count_model("OR", model="conditional-exact", **table)


def network(method, everything=False):
    def ours(d):
        columns = arrays(d, "yi", "vi", "treat_1", "treat_2", "study")

        def call():
            net = cf.network(*columns, method=method, small_values="desirable")
            if everything:
                return net.split(), net.designs(), net.contributions(), net.p_scores, net.league()
            return net

        return call

    return ours


def bayesian(d):
    columns = arrays(d, "yi", "vi", "treat_1", "treat_2", "study")
    return lambda: cf.network(*columns, method="REML").bayesian()


REML = 'rma(yi, vi, data=d, test="knha")'
THREE = "rma.mv(yi, vi, random=~1|study/effect, data=d)"
NETWORK = """X <- sapply(setdiff(sort(unique(c(d$treat_1, d$treat_2))), "T0"),
            function(t) (d$treat_1 == t) - (d$treat_2 == t))"""
PYMETA = "ma.meta_analysis(effect=yi, variance=vi, tau2_method='reml', ci_method='hksj')"
PYMARE = "REML().fit_dataset(Dataset(yi, vi)).summary()"
BOTH = {"PyMetaAnalysis": PYMETA, "PyMARE": PYMARE}


def _studies(k):
    return lambda: data.studies(k)


def _levels(k):
    return lambda: data.levels(k)


def _network(n, m, three_arms=0.2):
    return lambda: data.network((n, m), three_arms)


CASES = [
    Case("fit_10", "REML with Hartung-Knapp, k = 10", _studies(10), pool, REML, python=BOTH,
         at_least={"metafor": 30, "PyMetaAnalysis": 10}),
    Case("fit_bcg", "REML with Hartung-Knapp, ten BCG trials", data.ten, pool, REML, python=BOTH,
         at_least={"metafor": 30, "PyMetaAnalysis": 10}),
    Case("fit_2000", "REML with Hartung-Knapp, k = 2,000", _studies(2000), pool, REML, python=BOTH,
         at_least={"metafor": 5000}),
    Case("fit_100000", "REML with Hartung-Knapp, k = 100,000", _studies(100_000), pool, python=BOTH, within=1.0),
    Case("many", "pool_many, 100,000 sets of 10", lambda: data.sets(100_000), pool_many,
         'for (g in 0:199) rma(yi, vi, data=d[d$group == g, ], test="knha")', before="d <- d[d$group < 200, ]",
         share=200 / 100_000, stock=False,
         python={"PyMARE": "REML().fit_dataset(Dataset(yi.reshape(-1, 10).T, vi.reshape(-1, 10).T)).summary()"},
         at_least={"metafor": 5000, "NumPy pass": 1 / 15}, note="R fits 200 of the sets"),
    Case("levels_300", "three levels, 300 effects", _levels(300), three_level, THREE),
    Case("levels_1000", "three levels, 1,000 effects", _levels(1000), three_level, THREE,
         at_least={"metafor": 2000}),
    Case("levels_100000", "three levels, 100,000 effects", _levels(100_000), three_level, within=3.0),
    Case("leave_100", "leave-one-out, k = 100", _studies(100), leave_one_out, "leave1out(fit)",
         before=f"fit <- {REML}", python={"PyMetaAnalysis": f"{PYMETA}.leave_one_out()"}),
    Case("leave_200", "leave-one-out, k = 200", _studies(200), leave_one_out, "leave1out(fit)",
         before=f"fit <- {REML}", stock=False),
    Case("leave_400", "leave-one-out, k = 400", _studies(400), leave_one_out, "leave1out(fit)", slow=True,
         before=f"fit <- {REML}", stock=False, at_least={"metafor": 1000}),
    Case("influence_100", "influence, k = 100", _studies(100), influence, "influence(fit)", before=f"fit <- {REML}"),
    Case("influence_200", "influence, k = 200", _studies(200), influence, "influence(fit)", stock=False,
         before=f"fit <- {REML}"),
    Case("influence_400", "influence, k = 400", _studies(400), influence, "influence(fit)", slow=True, stock=False,
         before=f"fit <- {REML}", at_least={"metafor": 1000}),
    Case("subsets_13", "GOSH, 13 studies, REML", data.trials, subsets("REML"),
         "gosh(fit, subsets=300, progbar=FALSE)", before="fit <- rma(yi, vi, data=d)", share=300 / 8191, stock=False,
         at_least={"metafor": 2000}, note="R fits 300 of the 8,191 subsets"),
    Case("subsets_20", "GOSH, 20 studies, DL (1,048,575 subsets)", _studies(20), subsets("DL"), within=2.0),
    Case("conditional", "exact conditional OR, BCG trials", data.trials, conditional,
         'rma.glmm(measure="OR", ai=ai, bi=bi, ci=ci, di=di, data=d, model="CM.EL")', stock=False,
         at_least={"metafor": 100}),
    Case("profile_100", "profile intervals of three levels, k = 100", _levels(100), profile, "confint(fit)",
         before=f"fit <- {THREE}"),
    Case("profile_200", "profile intervals of three levels, k = 200", _levels(200), profile, "confint(fit)",
         before=f"fit <- {THREE}", stock=False),
    Case("profile_500", "profile intervals of three levels, k = 500", _levels(500), profile, "confint(fit)",
         before=f"fit <- {THREE}", slow=True, stock=False, at_least={"metafor": 200}),
    Case("network_two", "network, 20 treatments, 100 two-arm studies, REML", _network(20, 100, 0.0), network("REML"),
         "rma.mv(yi, vi, mods=~X-1, random=~1|study, data=d)", before=NETWORK, within=0.02),
    Case("network_20", "network, 20 treatments, 100 studies, REML", _network(20, 100), network("REML"), within=0.02),
    Case("network_all", "the same with splits, designs, contributions, ranks, league", _network(20, 100),
         network("REML", everything=True), within=1.0),
    Case("network_100", "network, 100 treatments, 1,000 studies, REML", _network(100, 1000), network("REML"),
         within=0.3),
    Case("network_1000", "network, 1,000 treatments, 20,000 studies, common effect", _network(1000, 20_000),
         network("EE"), within=10.0),
    Case("bayesian", "Bayesian posterior of the depression network", data.depression, bayesian, within=0.5),
]  # fmt: skip
