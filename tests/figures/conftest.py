"""Axes to draw on, and findings made by hand."""

from __future__ import annotations

import pytest

from comfrey.findings.finding import Finding, Interval, StudyLine


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
