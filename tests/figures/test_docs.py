"""The page on figures shows the code that drew its pictures, and all of the pictures."""

import ast
import re
import textwrap
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def blocks():
    script = (DOCS / "make_figures.py").read_text(encoding="utf-8")
    for match in re.finditer(r"    # (\w+)\n(.*?)    yield \"\1\", ax\n", script, flags=re.DOTALL):
        yield match.group(1), textwrap.dedent(match.group(2)).strip()


def test_code_and_pictures_stand_on_the_page():
    page = (DOCS / "figures.md").read_text(encoding="utf-8")
    shown = {ast.dump(ast.parse(code)) for code in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)}
    names = [name for name, _ in blocks()]
    assert len(names) == 10
    for name, code in blocks():
        assert ast.dump(ast.parse(code)) in shown, name  # whatever the line breaks
        assert re.search(rf"!\[[^\]]+\]\(figures/{name}\.png\)", page), name
        assert (DOCS / "figures" / f"{name}.png").stat().st_size <= 100_000
    pictures = {path.stem for path in (DOCS / "figures").glob("*.png")}
    assert {name for name in pictures if not name.startswith("network-")} == set(names)
