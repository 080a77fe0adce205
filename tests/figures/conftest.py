"""Axes to draw on, findings made by hand, data of published meta-analyses, and helpers that read a drawing back."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import comfrey as cf
from comfrey.findings.finding import Finding, Interval, StudyLine

REFERENCE = Path(__file__).parents[1] / "reference"


def read(name):
    return json.loads((REFERENCE / f"{name}.json").read_text(encoding="utf-8"))["data"]


@pytest.fixture(scope="session")
def trials():
    return read("escalc_2x2_bcg")


@pytest.fixture(scope="session")
def sizes(trials):
    a, b, c, d = (np.array(trials[name]) for name in ("ai", "bi", "ci", "di"))
    return cf.effect_sizes("RR", events_1=a, total_1=a + b, events_2=c, total_2=c + d, study=trials["study"])


@pytest.fixture(scope="session")
def fit(sizes):
    return cf.pool(sizes)


@pytest.fixture(scope="session")
def regression(sizes, trials):
    return cf.pool(sizes, moderators="ablat", data=trials)


@pytest.fixture(scope="session")
def schools():
    data = read("multilevel_school")
    return cf.multilevel("yi", "vi", random="district/school", data=data)


class Drawing:
    """What stands in axes, by the labels that the artists carry."""

    def __init__(self, ax):
        self.ax = ax

    def one(self, label):
        found = self.all(label)
        assert len(found) == 1, label
        return found[0]

    def all(self, start):
        artists = [*self.ax.lines, *self.ax.collections, *self.ax.patches, *self.ax.images]
        return [a for a in artists if a.get_label() == start or str(a.get_label()).startswith(start + " ")]

    def texts(self, *, whole=False):
        texts = [text.get_text() for text in self.ax.texts if text.get_text()]
        return [" ".join(text.split()) for text in texts] if whole else texts

    def boxes(self):
        """Text of the whole figure with the room it takes, in pixels."""
        figure = self.ax.figure
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        texts = [*self.ax.texts, *self.ax.get_xticklabels(), self.ax._left_title, self.ax.xaxis.label]
        return [(t.get_text(), t.get_window_extent(renderer)) for t in texts if t.get_text().strip()]

    def overlaps(self, slack=0.5):
        """Pairs of texts that meet by more than `slack` pixels in both directions."""
        out = []
        for (one, a), (two, b) in combinations(self.boxes(), 2):
            wide = min(a.x1, b.x1) - max(a.x0, b.x0)
            # letters sit within their line: the lines' own leading may meet
            high = min(a.y1, b.y1) - max(a.y0, b.y0)
            if wide > slack and high > slack + 3.0:
                out.append((one, two))
        return out


@pytest.fixture(scope="session")
def drawing():
    return Drawing


@pytest.fixture(autouse=True)
def style():
    from comfrey.figures.style import house_style

    with house_style():
        yield


@pytest.fixture
def axes():
    from comfrey.figures.style import new_figure

    return lambda: new_figure(7.4, 4, left=2, right=2)[1]


@pytest.fixture
def make_finding():
    def make(result, studies=(), *, scale="percent", pi=(None, None), group=None, k=None, counts=None, weights=None):
        lines = tuple(
            StudyLine(f"s{i}", f"Study {i}", (f"r{i}",), "ref:x y", Interval(*study), n=100 * (i + 1),
                      weight=weights[i] if weights else None, details={"cases": 10})
            for i, study in enumerate(studies)
        )  # fmt: skip
        k = len(lines) if k is None else k
        return Finding(
            id="f", label="A finding", role="main", group=group or {"region": "a", "recall": "b"}, measure="PLO",
            scale=scale, model="a model", k=k, n=100 * k, result=Interval(*result) if result else None,
            statement="It is so.", studies=lines, excluded=(), rows_read=len(lines), rows_in_scope=len(lines),
            rows_included=len(lines), pi_low=pi[0], pi_high=pi[1], counts=counts or {},
        )  # fmt: skip

    return make


@pytest.fixture
def lines_of():
    """Return every line that was drawn: its x values, y values, and marker."""

    def lines(ax):
        return [([float(x) for x in line.get_xdata()], [float(y) for y in line.get_ydata()], line.get_marker())
                for line in ax.lines]  # fmt: skip

    return lines


@pytest.fixture
def texts_of():
    return lambda ax: [text.get_text() for text in ax.texts]
