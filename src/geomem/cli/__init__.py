"""The command line: verbs, thin, over the functions a Python user calls.

Only what a verb needs is imported, when it is needed: `geomem --help` answers without torch.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from traceback import print_exc

from geomem.cli.failures import describe_failure, signals_interrupt
from geomem.cli.streams import guarded_streams
from geomem.errors import unknown_name

VERBS = {
    "demo": "store a graph as a lookup table and as a geometry; write the report",
    "memorize": "train models to hold the edges of a graph, several seeds at once",
    "paths": "train models to find paths whose edges their weights hold",
    "tell": "tell models a graph in sentences, or show what is told",
    "learn": "train models to recall a table of facts, several seeds at once",
    "measure": "measure the geometry of a run, of a memory, or of any embeddings",
    "audit": "tell whether a model or vectors hold a graph or facts as a geometry",
    "export": "write a run's weights as transformers opens them, or plain",
    "import": "make a run of weights that were trained elsewhere",
    "report": "write runs into one HTML file that opens anywhere",
    "sweep": "train a grid of configurations; draw its phase diagram",
    "table": "write sweeps and runs as one table, a row per run",
    "plot": "draw that table: a phase diagram, curves, or points",
    "capacity": "find how wide a model must be for how many facts",
    "reproduce": "check what the papers claim, with seeds and intervals",
    "study": "answer what the papers leave open, by a rule stated first",
    "headroom": "try every intervention that may bring out a graph's geometry",
    "construct": "write facts down as a memory in closed form, without training",
    "ask": "ask a memory of facts, one question or a chain of them",
    "edit": "give one question another answer, and change nothing else",
    "forget": "take one fact out of a memory, and change nothing else",
    "worlds": "list the built-in graphs and tables of facts with their options",
    "models": "list the architectures and their options",
    "doctor": "check this installation",
}
"""Every verb with the line that `geomem --help` shows; `geomem.cli.<verb>` has its `run` (`import_`, for
`import` is a word of Python)."""

PRINTING = ("ask", "audit", "doctor", "measure", "models", "worlds")
"""Verbs that do nothing but print: they failed if they could not."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells expect it: 128 + SIGINT; after SIGTERM and SIGHUP too."""

LONGEST_WORD = 600
"""Characters of a word that a sentence about an error shows; a file can hold a value of any length."""

DEFECT = 1
"""Exit status after an error that is geomem's own; a verb may answer no with it too."""


def help_text() -> str:
    """What `geomem --help` prints.

    >>> help_text().splitlines()[0]
    'geomem: memorise a graph in the weights of a model, and see its geometry'
    """
    lines = ["geomem: memorise a graph in the weights of a model, and see its geometry", ""]
    lines += ["usage: geomem VERB [OPTIONS]", "", "verbs:"]
    lines += [f"  {verb:<10} {text}" for verb, text in VERBS.items()]
    lines += [
        "",
        "examples:",
        "  geomem demo",
        "  geomem memorize path-star --arms 4 --length 5 --model transformer --seeds 5",
        "  geomem memorize borders.tsv --model node2vec",
        "  geomem paths path-star --arms 1000 --length 4",
        "  geomem tell europe --templates borders --show 5",
        "  geomem learn countries --seeds 1",
        "  geomem measure --embeddings vectors.txt --graph edges.tsv",
        "  geomem audit folder --graph europe",
        "  geomem export runs/path-star-transformer-c0ffee -o folder",
        "  geomem import folder --graph borders.tsv",
        "  geomem report runs/* --out report.html",
        "  geomem sweep cycle --over learning-rate=1e-3:1e-1:9:log --over width=8,16",
        "  geomem sweep study.toml --dry-run",
        "  geomem table sweeps/* -o table.parquet",
        "  geomem reproduce zigzag --seeds 5",
        "  geomem study headroom",
        "  geomem construct countries-with-borders --out memory",
        "  geomem ask memory France borders capital",
        "",
        "`geomem VERB --help` shows a verb's options, `geomem --version` the version.",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give its exit status.

    0 if all went well, 1 for no or for a defect of geomem, 2 for what a person or the system must mend, 130
    after Ctrl-C. Nobody needs to read what it prints: where standard output is closed, the work is done.

    >>> main(["--version"])
    geomem 0.1.0
    0
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with guarded_streams() as output, signals_interrupt():
        try:
            status = _run(arguments)
        except SystemExit:  # after a verb's help
            if not output.refused():
                raise
            status = 0
        if status > 1 or not (why := output.refused()):
            return status
        done = bool(arguments) and arguments[0] in VERBS and not {"-h", "--help"} & {*arguments}
        done = done and arguments[0] not in PRINTING
        ending = "everything else is done" if done else "write it to another place"
        print(f"geomem: Standard output could not be written ({why}); {ending}.", file=sys.stderr)
        return status if done else 2


def _run(arguments: list[str]) -> int:
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt as error:
        print(f"geomem: {str(error) or 'interrupted'}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if sentence := describe_failure(error):
            words = [
                word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}…" for word in sentence.split()
            ]
            print(f"geomem: {' '.join(words)}", file=sys.stderr)
            return 2
        print_exc()
        print("geomem: This is a defect of geomem; please report it with the lines above.", file=sys.stderr)
        return DEFECT


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    verb, *rest = arguments
    if verb == "--version":
        from geomem.version import find_version

        print(f"geomem {find_version()}")
        return 0
    if verb not in VERBS:
        raise unknown_name(
            f"{verb!r} is not a verb", verb, VERBS, otherwise=f"give one of {', '.join(VERBS)}"
        )
    return import_module(f"geomem.cli.{verb}{'_' if iskeyword(verb) else ''}").run(rest)
