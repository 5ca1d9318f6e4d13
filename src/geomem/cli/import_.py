"""`geomem import`: weights that were trained elsewhere become a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from geomem.cli.options import (
    GraphFileOptions,
    Head,
    OptionGroup,
    first_line,
    option_names,
    option_values,
    parse_rest,
    print_note,
    print_notes,
    read_head,
    refuse_file_options,
    signature_options,
)
from geomem.cli.progress import HOURS, RunTable
from geomem.errors import InputError
from geomem.files import is_there
from geomem.worlds.catalogue import WORLDS
from geomem.worlds.find import unknown_world
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.path_finding import PathFinding
from geomem.worlds.tasks import EdgeMemorization

DESCRIPTION = """Make a run of weights that were trained elsewhere: to measure, to report, to train on.

CHECKPOINT comes first: a folder of transformers (GPT-2 or Mamba, as safetensors), a folder that `geomem
export` wrote, or a .pt file of the release of arXiv 2510.26745 (a state dictionary; needs --heads). Nodes are
found by their labels in its tokenizer. Nothing in it is executed. The last line printed is the run directory,
for `geomem measure` and `geomem report`, and for --start of `geomem memorize` and `geomem paths`."""

TASKS = {"edges": EdgeMemorization, "paths": PathFinding}


@dataclass(frozen=True)
class ImportOptions:
    """What is read, and where the run goes."""

    graph: str = ""
    """The graph that the model was trained on: a file of edges, or a built-in world's name."""
    task: Literal["edges", "paths"] = "edges"
    """How the model is asked; the options of the task follow from it."""
    heads: int | None = None
    """Heads of the attention, which only a .pt file does not say."""
    vocabulary: Path | None = None
    """The word of every row, one per line or a JSON list, where the checkpoint has no tokenizer."""
    directory: Path = Path("runs")
    """Where the run directory is written."""
    hours: float = HOURS
    """Begin nothing that would take longer."""
    config: Path | None = None
    """A TOML file with any of these options (and `checkpoint`), one per line."""
    quiet: bool = False
    """Show no progress; print only the run directory."""


def run(arguments: Sequence[str]) -> int:
    """Make the run; print its directory on standard output."""
    checkpoint, graph, options = read_arguments(arguments)
    own = options.checkpoint

    from geomem.checkpoints.import_ import plan_import
    from geomem.runs.train import train

    found = plan_import(checkpoint, graph, task=options.task, heads=own.heads, vocabulary=own.vocabulary)
    if not own.quiet:
        print_notes(graph)
        for note in found.notes:
            print_note(note)
    with RunTable(quiet=own.quiet, hours=own.hours) as table:
        print(train(found.job, own.directory, on_progress=table.show).path)
    return 0


def read_arguments(arguments: Sequence[str]) -> tuple[str, Graph, Any]:
    """The checkpoint, the graph, and options by group: checkpoint, world or file, task.

    >>> checkpoint, graph, options = read_arguments(["folder", "--graph", "cycle", "--nodes", "6"])
    >>> checkpoint, graph.node_count, options.task.task_token
    ('folder', 6, True)
    """
    head = read_head(arguments, "checkpoint")
    world = head.value("graph")
    if not head.wants_help and not (head.word and world):
        raise InputError(
            "Give a checkpoint and its graph, as in `geomem import folder --graph edges.tsv`; a built-in "
            "world's name is a graph too."
        )
    if world and world not in WORLDS and not is_there(world):
        raise unknown_world(world)
    groups = _option_groups(head, world)
    if world in WORLDS:
        refuse_file_options(head.arguments, world, option_names(*[kind for _, kind, _, _ in groups]))
    options = parse_rest(head, groups, verb="import", word=head.word, description=DESCRIPTION)
    if world in WORLDS:
        return head.word, WORLDS[world](**option_values(options.world)), options
    return head.word, options.file.read(world), options


def _option_groups(head: Head, world: str) -> list[OptionGroup]:
    task = TASKS.get(head.value("task"), EdgeMemorization)
    groups: list[OptionGroup] = [
        ("checkpoint", ImportOptions, ImportOptions(), "What is read, and where the run goes."),
        ("task", task, task(), first_line(task)),
    ]
    if world in WORLDS:
        kind = signature_options(WORLDS[world])
        groups.insert(1, ("world", kind, kind(), f"Options of {world}."))
    else:
        groups.insert(1, ("file", GraphFileOptions, GraphFileOptions(), first_line(GraphFileOptions)))
    return groups
