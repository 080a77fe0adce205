"""Thresholds: moving the evidence there makes the two best treatments draw level."""

import numpy as np
import pandas as pd
import pytest

from comfrey.errors import InputError
from comfrey.models.network import network, threshold_analysis


def moved(columns, rows, shift):
    y = np.array(columns[0], float)
    y[list(rows)] += list(shift)
    return (list(y), *columns[1:])


@pytest.mark.parametrize("per", ["comparison", "study"])
def test_at_the_threshold_the_preferred_treatment_draws_level(random_network, per):
    columns = random_network(3, multi=0.3 if per == "study" else 0.0)
    net = network(*columns, method="EE", small_values="undesirable")
    table = threshold_analysis(net, per=per)
    best = net.effects.mean(axis=1).idxmax()
    data = pd.DataFrame(dict(zip(("y", "v", "a", "b", "s"), columns, strict=True)))
    checked = 0
    for key, row in table.iterrows():
        for side in ("low", "high"):
            if not np.isfinite(row[side]) or abs(row[side]) > 1e3:
                assert row[f"{side}_to"] == "" or abs(row[side]) > 1e3
                continue
            a, b = key[-2:]
            if per == "study":
                mine = data.s == key[0]
                shift = np.where(mine & (data.a == a), row[side], 0) - np.where(mine & (data.b == a), row[side], 0)
            else:
                same = ((data.a == a) & (data.b == b)) * row[side] - ((data.a == b) & (data.b == a)) * row[side]
                shift = same.to_numpy()
            again = network(*moved(columns, range(len(data)), shift), method="EE", small_values="undesirable")
            assert again.effects.loc[best, row[f"{side}_to"]] == pytest.approx(0, abs=1e-7)
            assert (again.effects.loc[best] > -1e-7).all()
            checked += 1
    assert checked > 5


def test_what_takes_no_part_never_changes_the_choice():
    net = network([1.0, 2.0], [0.1, 0.1], ["A", "B"], ["P", "P"], [1, 2], method="EE", small_values="undesirable")
    table = net.threshold()
    assert table.loc[("B", "P"), "low"] == pytest.approx(-1.0)
    assert table.loc[("B", "P"), "low_to"] == "A"
    assert table.loc[("B", "P"), "high"] == np.inf
    assert table.loc[("A", "P"), "high"] == pytest.approx(1.0)
    assert bool(table.loc[("A", "P"), "robust"]) is True
    with pytest.raises(InputError, match="decision: expected the treatment with the best effect, B, found 'A'"):
        net.threshold(decision="A")
    with pytest.raises(InputError, match="per"):
        threshold_analysis(net, per="arm")
