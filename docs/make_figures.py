"""Draw the pictures of docs/figures.md from published data: ``python docs/make_figures.py``.

The code between two markers of a picture is what the page shows; `tests/figures/test_docs.py` keeps both the same.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import comfrey as cf
from comfrey.figures import to_png

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

HERE = Path(__file__).parent
REFERENCE = HERE.parent / "tests" / "reference"


def data_of(name: str) -> dict[str, Any]:
    """Read the published data of a reference file."""
    return dict(json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))["data"])


def pictures() -> Iterator[tuple[str, Axes]]:
    """Yield the name of each picture with its axes."""
    bcg = data_of("escalc_2x2_bcg")
    bcg["cases_bcg"], bcg["cases_none"] = np.array(bcg["ai"]), np.array(bcg["ci"])
    bcg["people_bcg"] = bcg["cases_bcg"] + np.array(bcg["bi"])
    bcg["people_none"] = bcg["cases_none"] + np.array(bcg["di"])
    bcg["latitude"], bcg["allocation"] = bcg["ablat"], [text.capitalize() for text in bcg["alloc"]]
    sizes = cf.effect_sizes(
        "RR", events_1="cases_bcg", total_1="people_bcg", events_2="cases_none", total_2="people_none", data=bcg,
        study="study",
    )  # fmt: skip
    fit = cf.pool(sizes)

    # forest
    ax = cf.figures.forest_plot(
        fit,
        columns=sizes,
        arms=("BCG", "No vaccine"),
        favours=("BCG", "no vaccine"),
        title="BCG vaccination halves the risk of tuberculosis, in some places more",
    )
    yield "forest", ax

    # layouts
    ax = cf.figures.forest_plot(fit, layout="jama", columns=sizes, arms=("BCG", "No vaccine"), order="weight")
    yield "layouts", ax

    # subgroups
    groups = cf.subgroups(sizes, groups="allocation", data=bcg)
    ax = cf.figures.forest_plot(groups, layout="revman", columns=sizes, arms=("BCG", "No vaccine"))
    yield "subgroups", ax

    # funnel
    magnesium = data_of("bias_magnesium")
    trials = cf.pool(
        cf.effect_sizes("OR", estimate=magnesium["yi"], variance=magnesium["vi"], study=magnesium["study"])
    )
    ax = cf.figures.funnel_plot(
        trials,
        filled=cf.trim_and_fill(trials),
        regression=cf.egger(trials),
        labels=["ISIS-4"],
        title="Small trials of magnesium found more than large ones",
    )
    yield "funnel", ax

    # bubble
    regression = cf.pool(sizes, moderators="latitude", data=bcg)
    ax = cf.figures.bubble_plot(regression, labels=True, title="Farther from the equator, more protection")
    ax.set_xlabel("Absolute latitude (degrees)")
    yield "bubble", ax

    # radial
    ax = cf.figures.radial_plot(fit, labels=True)
    yield "radial", ax

    # drapery
    ax = cf.figures.drapery_plot(fit, labels=["Hart & Sutherland 1977", "TPT Madras 1980"])
    yield "drapery", ax

    # baujat
    ax = cf.figures.baujat_plot(fit)
    yield "baujat", ax

    # gosh
    equal = cf.pool(sizes, method="EE")
    ax = cf.figures.gosh_plot(equal, study="TPT Madras 1980", title="Subsets with the largest trial stand apart")
    yield "gosh", ax

    # profile
    schools = cf.multilevel("yi", "vi", random="district/school", data=data_of("multilevel_school"))
    ax = cf.figures.profile_plot(schools, "district", title="Districts differ, by how much is less sure")
    yield "profile", ax


def save(name: str, ax: Axes) -> None:
    """Write a picture, with as few colours as its size allows (100 KB)."""
    drawn = Image.open(io.BytesIO(to_png(ax.figure, dpi=120)))  # type: ignore[arg-type]
    for colours in (128, 64, 32, 16):
        out = io.BytesIO()
        drawn.quantize(colours, dither=Image.Dither.NONE).save(out, format="png", optimize=True)
        if out.tell() <= 100_000:
            break
    (HERE / "figures" / f"{name}.png").write_bytes(out.getvalue())


if __name__ == "__main__":
    for picture, axes in pictures():
        save(picture, axes)
