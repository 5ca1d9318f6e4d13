"""`geomem export`: the weights of a run or a memory, as transformers opens them or plain; no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from geomem.checkpoints.export import Format, export_run
from geomem.cli.options import parse_options, print_note

DESCRIPTION = """Write the weights of a run, or of a memory of facts, with their vocabulary into a new folder.

hf: what transformers opens with AutoModelForCausalLM and AutoTokenizer, a Transformer as GPT2LMHeadModel and
a Mamba (trained with --residual --norm root-mean-square --final-norm) as MambaForCausalLM. safetensors: plain
weights under our own names, of every model and memory. transformers need not be installed. The last line
printed is the folder, which `geomem import` takes."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is written, and where."""

    run: tyro.conf.Positional[Path]
    """A run directory, as `geomem memorize` prints it, or a memory, as `geomem learn` and `construct` do."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The folder to write; it must not be there yet."""
    format: Format = "hf"
    """For transformers, or plain weights."""
    seed: int | None = None
    """The run of which seed; the first if not given."""


def run(arguments: Sequence[str]) -> int:
    """Write what the arguments ask for; print the folder on standard output."""
    options = parse_options(ExportOptions, arguments, verb="export", description=DESCRIPTION)
    exported = export_run(options.run, options.out, format=options.format, seed=options.seed)
    for note in exported.notes:
        print_note(note)
    print(exported.path)
    return 0
