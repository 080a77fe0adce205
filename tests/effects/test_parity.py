"""Effect sizes against reference values of other programs (the call is in each file)."""

import json
from pathlib import Path

import numpy as np
import pytest

import comfrey as cf

REFERENCE = Path(__file__).parents[1] / "reference"
TWO_MEANS = {"mean_1": "m1i", "sd_1": "sd1i", "n_1": "n1i", "mean_2": "m2i", "sd_2": "sd2i", "n_2": "n2i"}
FILES = {
    "escalc_2x2_bcg": None,
    "escalc_2x2_lidocaine": None,
    "escalc_cont_stay": TWO_MEANS,
    "escalc_cont_co2": TWO_MEANS,
    "escalc_cor_adherence": {"r": "ri", "n": "ni"},
    "escalc_rates_warfarin": {"events_1": "x1i", "time_1": "t1i", "events_2": "x2i", "time_2": "t2i"},
    "escalc_prop_vasospasm": {"cases": "xi", "total": "ni"},
}


def load(name):
    return json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))


def cases():
    for name in FILES:
        for measure in load(name)["results"]:
            yield pytest.param(name, measure, id=f"{name}-{measure}")


def columns_of(name, data, measure):
    names = FILES[name]
    if names is None:
        a, b, c, d = (np.array(data[x], dtype=float) for x in ("ai", "bi", "ci", "di"))
        return {"events_1": a, "total_1": a + b, "events_2": c, "total_2": c + d}
    wanted = next(m for m in cf.measures() if m == measure).inputs
    return {ours: np.array(data[theirs], dtype=float) for ours, theirs in names.items() if ours in wanted}


@pytest.mark.parametrize(("name", "measure"), list(cases()))
def test_agrees_with_reference(name, measure):
    content = load(name)
    found = cf.effect_sizes(measure, **columns_of(name, content["data"], measure))
    expected = content["results"][measure]
    # the tetrachoric is found by a search there (loosely closed) and by bisection to the last digit here
    loose = measure == "RTET"
    if loose:
        np.testing.assert_allclose(found.yi, expected["yi"], rtol=1e-2, atol=1e-4)
        np.testing.assert_allclose(found.vi, expected["vi"], rtol=1e-4)
    else:
        np.testing.assert_allclose(found.yi, expected["yi"], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(found.vi, expected["vi"], rtol=1e-10)
