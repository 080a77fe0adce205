"""Every result that was searched for says how the search ended, under the same names."""

import json
from pathlib import Path

import numpy as np
import pytest

import comfrey as cf
from comfrey.models._maximum import Certificate

REFERENCE = Path(__file__).parents[1] / "reference"


def data_of(name):
    return json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))["data"]


BCG = data_of("metareg_bcg")
TABLE = data_of("mh_peto")["bcg"]
A, B, C, D = (np.array(TABLE[name], dtype=float) for name in ("ai", "bi", "ci", "di"))
ARMS = {"events_1": A, "total_1": A + B, "events_2": C, "total_2": C + D}
SENN = data_of("nma_diabetes_REML")


def network(method):
    rows = [SENN[name] for name in ("treat1", "treat2", "studlab")]
    return cf.network(SENN["TE"], np.square(SENN["seTE"]), *rows, method=method)


def pooled(**options):
    return cf.pool("yi", "vi", data=BCG, **options)


MAKE = {
    **{method: (lambda m=method: pooled(method=m)) for method in ("EE", "DL", "SJ", "ML", "REML", "EB", "PM", "PMM")},
    "regression": lambda: pooled(moderators="ablat"),
    "location-scale": lambda: cf.location_scale("yi", "vi", data=BCG, scale="ablat"),
    "proportions": lambda: cf.count_model("PLO", cases=[30, 12, 55, 8], total=[100, 80, 240, 31]),
    "beta-binomial": lambda: cf.count_model(
        "PLO", model="beta-binomial", cases=[30, 12, 55, 8], total=[100, 80, 240, 31]
    ),
    "conditional": lambda: cf.count_model("OR", **ARMS),
    "multilevel": lambda: cf.multilevel("yi", "vi", random="alloc/year", data=BCG),
    "selection": lambda: cf.selection_model(pooled(), steps=(0.025,), alternative="less"),
    "Copas": lambda: cf.copas(pooled(), probabilities=(1.0, 0.7)),
    "network": lambda: network("REML"),
    "network in closed form": lambda: network("DL"),
    "components": lambda: cf.components(network("ML"), inactive="plac"),
}


@pytest.mark.parametrize("name", MAKE)
def test_every_search_has_a_certificate(name):
    fit = MAKE[name]()
    found = fit.certificate
    assert isinstance(found, Certificate)
    assert found.converged is True
    # in standard errors, or by log(tau2): every search here goes on far beyond what its tolerance asks for
    assert abs(found.gradient) < 1e-5 or found.boundary
    assert found.local_maxima >= 1
    assert found.iterations is None or found.iterations >= 0
    assert isinstance(found.boundary, bool)
    assert isinstance(found.global_maximum, bool)
    json.dumps(fit.to_dict(), allow_nan=False)


def test_the_boundary_is_told():
    same = {"cases": [10, 20, 30], "total": [100, 200, 300]}
    assert cf.count_model("PLO", **same).certificate.boundary
    assert cf.pool([0.1, 0.1, 0.1], [0.2, 0.3, 0.1]).certificate.boundary


def test_copas_has_a_certificate_a_row():
    found = cf.copas(pooled(), probabilities=(1.0, 0.7, 0.4))
    assert len(found.certificates) == 3
    assert "_certificates" not in found.to_dict()


def test_two_maxima_of_a_one_stage_likelihood_are_counted():
    fit = cf.count_model("OR", **ARMS)
    assert fit.certificate.local_maxima == 1
