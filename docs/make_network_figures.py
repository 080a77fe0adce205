"""Draw the pictures of docs/network-figures.md: python docs/make_network_figures.py.

The data are published networks, from tests/reference (each file names its publication).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from comfrey.figures.network import (
    comparison_funnel,
    contribution_plot,
    league_plot,
    net_heat_plot,
    network_forest,
    network_graph,
    rankogram,
)
from comfrey.figures.style import to_png
from comfrey.models.network import Network, network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).parent
DATA = HERE.parent / "tests" / "reference"
NAMES = {
    "smoking": {"A": "No contact", "B": "Self-help", "C": "Individual counselling", "D": "Group counselling"},
    "diabetes_REML": {
        "acar": "Acarbose", "benf": "Benfluorex", "metf": "Metformin", "migl": "Miglitol", "piog": "Pioglitazone",
        "plac": "Placebo", "rosi": "Rosiglitazone", "sita": "Sitagliptin", "sulf": "Sulfonylurea",
        "vild": "Vildagliptin",
    },
    "parkinson": {"1": "Placebo", **{str(i): f"Dopamine agonist {i}" for i in range(2, 6)}},
    "depression": {},
}  # fmt: skip


def fit(name: str) -> tuple[Network, dict[str, float] | None]:
    """Fit one of the networks; return it with the people of each treatment, where the data know them."""
    data = json.loads((DATA / f"nma_{name}.json").read_text())["data"]
    ratio = name in {"smoking", "depression"}

    def named(label: Any) -> str:
        text = str(int(label)) if isinstance(label, float) else str(label)
        return NAMES[name].get(text, text)

    net = network(
        data["TE"], np.square(data["seTE"]), [named(t) for t in data["treat1"]], [named(t) for t in data["treat2"]],
        data["studlab"], measure="OR" if ratio else "MD", small_values="undesirable" if ratio else "desirable",
        reference={"smoking": "No contact"}.get(name, "Placebo"),
    )  # fmt: skip
    arms = {key.lower(): values for key, values in (data.get("arms") or {}).items()}
    people: dict[str, float] = {}
    for i in (1, 2, 3):
        labels = arms.get(f"treat{i}", arms.get(f"treatment{i}", []))
        for label, count in zip(labels, arms.get(f"n{i}", []), strict=True):
            if label not in {"", None} and count:
                people[named(label)] = people.get(named(label), 0.0) + count
    return net, people or None


def save(ax: Axes, name: str) -> None:
    """Write a small picture: few colours are enough."""
    import io

    picture = Image.open(io.BytesIO(to_png(ax.get_figure(root=True), dpi=110)))  # type: ignore[arg-type]
    path = HERE / "figures" / f"network-{name}.png"
    path.parent.mkdir(exist_ok=True)
    picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(HERE.parent)}: {path.stat().st_size / 1000:.0f} kB")  # noqa: T201  # a script


def main() -> None:
    """Draw all of them."""
    depression, people = fit("depression")
    save(network_graph(depression, participants=people), "graph-depression")
    smoking, smokers = fit("smoking")
    save(network_graph(smoking, participants=smokers), "graph-smoking")
    save(league_plot(smoking), "league-smoking")
    diabetes, _ = fit("diabetes_REML")
    save(network_forest(diabetes), "forest-diabetes")
    save(rankogram(diabetes), "ranks-diabetes")
    save(net_heat_plot(diabetes), "heat-diabetes")
    save(comparison_funnel(depression), "funnel-depression")
    parkinson, _ = fit("parkinson")
    save(contribution_plot(parkinson), "contributions-parkinson")


if __name__ == "__main__":
    main()
