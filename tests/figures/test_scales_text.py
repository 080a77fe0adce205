"""Ticks, numbers and widths of text."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from comfrey.effects.registry import find_measure, measures
from comfrey.figures._rows import ratio_ticks
from comfrey.figures._scales import analysis_ticks, p_value, reader_of, significant
from comfrey.figures._text import width_of, wrap


@pytest.mark.parametrize("measure", measures(), ids=str)
def test_ticks_of_every_measure_are_read_as_they_are_labelled(measure):
    low, high = {"proportion": (0.05, 0.6), "rate": (0.2, 0.9), "correlation": (-0.3, 0.6)}.get(
        measure.unit, (0.4, 2.2)
    )
    ends = measure.transform([low, high])
    reader = reader_of(measure, 0.3)
    places, labels = analysis_ticks(reader, float(ends[0]), float(ends[1]))
    assert 2 <= len(places) <= 8
    assert all(ends[0] - 1e-9 <= place <= ends[1] + 1e-9 for place in places)
    if measure.name == "PFT":
        return  # its reading depends on the number of people: ticks are angles
    shown = [float(label.replace("−", "-").replace("%", "")) for label in labels]
    assert_allclose(shown, reader.read(places), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.1), (0.3, 3), (0.01, 10), (1e-5, 1e5), (0.5, 0.9)])
def test_ratio_ticks_are_inside_and_few(low, high):
    ticks = ratio_ticks(low, high)
    assert 1 <= len(ticks) <= 7
    assert all(low <= tick <= high for tick in ticks)


def test_numbers():
    assert significant(-0.0123) == "−0.012"
    assert p_value(0.05) == "= 0.050"
    assert reader_of(None, 50.0).text(-1234.5) == "−1,234"
    assert reader_of(None, 1e-12).text(-3.2e-11) == "−3.20e−11"
    assert reader_of(None, 1e99).text(1e100) == "1.00e+100"
    assert reader_of(find_measure("OR"), 1.0).text(np.inf) == ">1,000,000"
    assert reader_of(None, np.nan).places == 2


def test_wrapped_lines_fit_and_keep_every_word():
    text = "Collaborative trial of Donaudampfschifffahrtsgesellschaft P < 0.001 and others"
    lines = wrap(text, 0.8, 9.0).split("\n")
    assert all(width_of(line, 9.0) <= 0.8 for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert any("P < 0.001" in line for line in lines)
    assert wrap("", 1.0, 9.0) == ""
