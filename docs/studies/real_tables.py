"""The numbers of the study: four CSV files, and the tables of real-models.md made of them.

`real-models-words.csv` has a row per audit and graph or relation with what decided, `-looks.csv` a row per
layer and template of a graph, `-maps.csv` one of a relation; `-causes.csv` a row per relation, layer and gain
of moved answers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from geomem.files import csv_file, replace_file
from geomem.studies.markdown import MISSING, format_cell, markdown_lines, write_sections

HERE = Path(__file__).parent
PAGE = HERE / "real-models.md"

LOOK_FIELDS = (
    "mantel_low",
    "mantel_high",
    "mantel_p",
    "twin_mantel",
    "map_correlation",
    "map_p",
    "partial_mantel",
    "lead",
    "lead_error",
)
PROFILE_FIELDS = ("mantel", "raw_mantel", "neighbour_auc", "laplacian_energy", "first_share", "common_share")
TABLES = ("words", "looks", "maps", "causes")
GRAPH_TRIALS = ("permuted entities", "re-initialised twins", "rewired graphs", "co-occurrence")

TITLES = {"glove": "GloVe 50", "minilm": "MiniLM", "smollm": "SmolLM2"}
WORLD_TITLES = {"europe": "Europe", "united-states": "states"}
ANSWERS = "answers right: first token, candidates (chance)"

Audits = Mapping[str, Mapping[str, Any]]
"""The kept audits by name."""


def audit_tables(audits: Audits) -> dict[str, pl.DataFrame]:
    """The four tables."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for name, kept in audits.items():
        entry, audit = kept["entry"], kept["audit"]
        key = {"audit": name} | {field: entry[field] for field in ("model", "world", "position")}
        if audit.get("causes"):
            rows["causes"] += [key | row for found in audit["causes"] for row in _moved(found)]
        elif "looks" in audit:
            rows["words"].append(key | _graph_word(audit, entry, kept["seconds"]))
            rows["looks"] += [key | _graph_look(look) for look in audit["looks"]]
        else:
            for found in audit["relations"]:
                rows["words"].append(key | _relation_word(found, entry, kept["seconds"]))
                rows["maps"] += [key | {"relation": found["relation"]} | look for look in found["looks"]]
    return {
        name: pl.DataFrame(entries, infer_schema_length=None).with_columns(pl.selectors.float().round(4))
        for name, entries in rows.items()
        if entries
    }


def _moved(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    causes = found["causes"]
    key = {"relation": found["relation"], "layer": found["layer"]}
    key |= {field: causes[field] for field in ("swaps", "untouched", "replaced", "p")}
    gains = zip(causes["gains"], causes["moved"], causes["random"], strict=True)
    return [key | {"gain": gain, "moved": moved, "random": random} for gain, moved, random in gains]


def _graph_word(audit: Mapping[str, Any], entry: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    best, looks = audit["looks"][audit["best"]], audit["looks"]
    maps = [look["map_correlation"] for look in looks]
    mapped = looks[maps.index(max(maps))]
    passed = {trial["name"]: trial for trial in (*audit["trials"], *audit["controls"])}
    return {
        "relation": "borders",
        "word": audit["word"],
        "reason": audit["reason"],
        "facts": len(audit["entities"]),
        "layer": best["layer"],
        "template": best["template"],
        "found": best["profile"]["mantel"],
        **{f"p {name}": passed.get(name, {}).get("p") for name in GRAPH_TRIALS},
        "impossible twins passed": passed["impossible twins"]["value"],
        "p twins alone": passed.get("twins alone", {}).get("p"),
        **_answers(audit.get("behaviour")),
        "neighbours": max(look["profile"]["neighbour_auc"] for look in looks),
        "map": mapped["map_correlation"],
        "map layer": mapped["layer"],
        "map p": mapped["map_p"],
        "smallest effect": audit["smallest_effect"],
        "twins": entry["twins"] if entry["model"] != "glove" else 0,
        "seconds": seconds,
    }


def _graph_look(look: Mapping[str, Any]) -> dict[str, Any]:
    return (
        {"layer": look["layer"], "template": look["template"]}
        | {name: look["profile"][name] for name in PROFILE_FIELDS}
        | {name: look[name] for name in LOOK_FIELDS}
    )


def _relation_word(found: Mapping[str, Any], entry: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    best = found["looks"][found["best"]]
    passed = {trial["name"]: trial for trial in found["trials"]}
    offsets = [look["offset"] for look in found["looks"] if look["offset"] is not None]
    return {
        "relation": found["relation"],
        "word": found["word"],
        "reason": found["reason"],
        "facts": found["facts"],
        "objects": found["objects"],
        "layer": best["layer"],
        "template": best["template"],
        "found": found["hit"],
        "offset": max(offsets, default=None),
        "linear": max(look["linear"] for look in found["looks"]),
        "shuffled": found["shuffled"],
        "majority": found["majority"],
        **{
            f"p {name}": passed.get(name, {}).get("p")
            for name in ("shuffled objects", "re-initialised twins")
        },
        **_answers(found["behaviour"]),
        "smallest effect": found["smallest_effect"],
        "twins": entry["twins"] if entry["model"] != "glove" else 0,
        "seconds": seconds,
    }


def _answers(known: Mapping[str, Any] | None) -> dict[str, float | None]:
    """How the model answered: right of all tokens, right of the candidates, and the share that chance has."""
    if known is None:
        return dict.fromkeys(("answered first", "answered among", "answered by chance"))
    return {
        "answered first": known["first"],
        "answered among": known["right"] / known["asked"],
        "answered by chance": known["chance"],
    }


def read_tables() -> dict[str, pl.DataFrame]:
    """The four tables as they were written."""
    return {name: pl.read_csv(HERE / f"real-models-{name}.csv", infer_schema_length=None) for name in TABLES}


def write_tables(audits: Audits) -> None:
    """Write the four CSV files, and the three tables of the page between their marks."""
    for name, table in audit_tables(audits).items():
        replace_file(HERE / f"real-models-{name}.csv", csv_file(table))
    tables = read_tables()
    write_sections(PAGE, page_tables(tables["words"], tables["causes"]))


def page_tables(words: pl.DataFrame, causes: pl.DataFrame) -> dict[str, list[str]]:
    """The lines of the tables of the page: of the graphs, of the relations, and of the moved answers."""
    rows = words.to_dicts()
    graphs = [
        [
            _where(row),
            WORLD_TITLES[row["world"]],
            f"**{row['word']}**",
            _look(row),
            format_cell(row["found"]),
            format_cell(row["map"]),
            *[format_cell(row[f"p {name}"], 3) for name in GRAPH_TRIALS],
            format_cell(row["impossible twins passed"]),
            _answered(row),
        ]
        for row in rows
        if row["relation"] == "borders"
    ]
    relations = [
        [
            _where(row),
            row["relation"],
            f"**{row['word']}**",
            _look(row),
            format_cell(row["offset"]),
            format_cell(row["linear"]),
            format_cell(row["shuffled"]),
            format_cell(row["majority"]),
            format_cell(row["p re-initialised twins"], 3),
            _answered(row),
        ]
        for row in rows
        if row["relation"] != "borders"
    ]
    titles = ["vectors", "graph", "word", "best at", "Mantel", "best map", "p permuted", "p twins"]
    titles += ["p rewired", "p ahead of GloVe", "impossible twins passed", ANSWERS]
    of_relations = ["vectors", "relation", "word", "best at", "offset", "linear", "shuffled", "majority"]
    of_relations += ["p twins", ANSWERS]
    gains = sorted(set(causes["gain"].to_list()))
    of_causes = ["relation", "layer", "swaps", "untouched", "replaced", "by", "p at gain 1"]
    keys = ["relation", "layer", "swaps", "untouched", "replaced", "p"]
    moved = [
        [*map(format_cell, key[:5]), kind, "< .001" if key[5] < 0.001 else format_cell(key[5], 3)]
        + [format_cell(share) for share in rows.sort("gain")[kind].to_list()]
        for key, rows in causes.group_by(keys, maintain_order=True)
        for kind in ("moved", "random")
    ]
    return {
        "graphs": markdown_lines(titles, graphs),
        "relations": markdown_lines(of_relations, relations),
        "causes": markdown_lines([*of_causes, *[f"{gain:g}" for gain in gains]], moved),
    }


def _where(row: Mapping[str, Any]) -> str:
    position = {"mean of tokens": ", mean"}.get(row["position"], "")
    asked = ", other sentences" if row["audit"].endswith("first-templates") else ""
    return TITLES[row["model"]] + ("" if row["model"] == "glove" else position) + asked


def _look(row: Mapping[str, Any]) -> str:
    return MISSING if row["model"] == "glove" else row["layer"]


def _answered(row: Mapping[str, Any]) -> str:
    if row["answered among"] is None:
        return MISSING
    first, among, chance = (format_cell(row[f"answered {name}"]) for name in ("first", "among", "by chance"))
    return f"{first}, {among} ({chance})"
