"""The ledger on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from comfrey.ledger._verify import Verification

__all__ = ["show"]

_STYLES = {"agrees": "", "misprint": "yellow", "reference wrong": "yellow", "differs": "bold red"}


def show(found: Verification, rows: int = 40, console: Console | None = None) -> None:
    """Print the groups, then the quantities that agree to the fewest digits, then the counts and versions.

    Parameters
    ----------
    found : Verification
    rows : int
        How many quantities to show; 0 for all. Those that differ, or whose source errs, are always shown.
    console : rich.console.Console, optional
    """
    console = console or Console(highlight=False)
    console.print(_groups(found))
    shown = [
        entry for place, entry in enumerate(found.entries) if not rows or place < rows or entry.verdict != "agrees"
    ]
    table = Table(title="Quantities, worst digits first", title_justify="left")
    for name in ("digits", "asked", "quantity", "reference", "computed", "verdict"):
        table.add_column(name, justify="right" if name in {"digits", "asked", "reference", "computed"} else "left",
                         overflow="fold")  # fmt: skip
    for entry in shown:
        place = entry.id + entry.where
        table.add_row(
            f"{entry.digits:.1f}", f"{entry.asked:.1f}", place, f"{entry.reference:.12g}", f"{entry.computed:.12g}",
            Text(entry.verdict, style=_STYLES[entry.verdict]),
        )  # fmt: skip
    console.print(table)
    if len(shown) < len(found.entries):
        rest = found.entries[rows:]
        least = min(entry.digits for entry in rest)
        console.print(f"… and {len(found.entries) - len(shown)} more, each to {least:.1f} digits or better (--rows 0)")
    for entry in shown:
        if entry.remark:
            console.print(Text(f"{entry.id}: {_found(entry.wrong)}{entry.remark}", style="dim"))
    for line in found.headline:
        console.print(Text(line, style="bold"))


def _found(wrong: float | None) -> str:
    return "" if wrong is None else f"the source has {wrong:.8g}; "


def _groups(found: Verification) -> Table:
    table = Table(title="Groups", title_justify="left")
    frame = found.groups
    table.add_column("group")
    for name in frame.columns:
        table.add_column(name.replace("_", " "), justify="right")
    for group, row in frame.iterrows():
        table.add_row(str(group), *(f"{v:.1f}" if "digits" in str(n) else f"{v:.0f}" for n, v in row.items()))
    return table
