"""The page on constructions runs from top to bottom, and its table of sizes is that of the formulas."""

import re
from pathlib import Path

from geomem.constructions.bounds import trade_off_table

PAGE = (Path(__file__).parents[2] / "docs" / "constructions.md").read_text(encoding="utf-8")


def test_the_snippets_run(capsys):
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(snippet, names)
    assert len(capsys.readouterr().out.splitlines()) == len(trade_off_table(4096, 2, 4))


def test_the_size_table_holds_the_formulas():
    N, R, k, m, L = 256, 4, 4, 8, 2
    names = {"N": N, "R": R, "k": k, "m": m, "h": -(-k // L), "L": L}
    rows = {row.size.model.replace(" ", "_"): row.size for row in reversed(trade_off_table(N, R, k))}
    rows["deep"] = next(row.size for row in trade_off_table(N, R, k) if row.size.layers == L)
    found = re.findall(r"^\| `(\w+)` \| [^|]*\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", PAGE, flags=re.MULTILINE)
    assert {name for name, *_ in found} == set(rows)
    for name, *cells in found:
        python = [re.sub(r"(?<=[\w)])\s?(?=[A-Za-z(])", "*", cell).replace("^", "**") for cell in cells]
        size = rows[name]
        assert [eval(cell, names) for cell in python] == [
            size.residual_size,
            size.mlp_width,
            size.fact_numbers,
        ]
