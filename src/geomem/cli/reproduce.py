"""`geomem reproduce`: the papers' claims checked, a line for each, as a page and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tyro
from rich.text import Text

from geomem.cli.console import open_console
from geomem.cli.engine import EngineOptions
from geomem.cli.options import parse_options
from geomem.cli.own import execute
from geomem.cli.progress import HOURS
from geomem.errors import InputError
from geomem.fields import Seeds
from geomem.files import check_place, make_parent, write_json

DESCRIPTION = """Check what the papers claim: do the trainings that the claims need, judge each by its rule.

PATTERN is a claim's id, its group, its row in our notes (T6), small-graphs, or a glob of these.
Without one all quick claims of both papers are checked: about an hour on two cores; small-graphs takes two
minutes. Trainings are kept in --directory: the same command again trains nothing, an interrupted one goes on.
With --full the cheapest claims come first, as many as fit into --hours.
Exit status: 0 if every claim came out as expected, 1 if any did not."""


@dataclass(frozen=True)
class ReproduceOptions:
    """Which claims, how large, and where things go."""

    patterns: tyro.conf.Positional[tuple[str, ...]] = ()
    """Claims to check, by id, group or glob: geometry/early-peak, zigzag, T6, 'node2vec/*'."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """The claims that two cores check in minutes; so it is without --full."""
    full: tyro.conf.FlagCreatePairsOff[bool] = False
    """The large ones as well, which want a GPU."""
    seeds: Seeds = 3
    """How many runs of everything, with the seeds 0, 1, 2, ..."""
    model: str = ""
    """Ask the claims of this model in place of the plain Transformer: an architecture, or a module of yours
    as in mine.py:factory (that file is executed). Claims without a plain Transformer are left out."""
    embedding: str = ""
    """Of that module: the nn.Embedding or parameter whose rows are the tokens, if there is not just one."""
    list: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print one line per claim and train nothing."""
    markdown: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print the verdicts as a table in Markdown, as the pages of claims have it."""
    directory: Path = Path("runs")
    """Where run directories are made and looked for."""
    device: str = "cpu"
    """cpu, cuda, or cuda:1."""
    processes: int | None = None
    """Fleets and experiments at once; one per core if not given."""
    engine: EngineOptions = field(default_factory=EngineOptions)
    hours: float = HOURS
    """What all of it may take; claims that do not fit are left out, the longest first."""
    out: Path = Path("reproduce.html")
    """The HTML page that is written."""
    json: Path | None = None
    """A JSON file with all verdicts and numbers, if given."""


def run(arguments: Sequence[str]) -> int:
    """Check the claims; print the table of verdicts and the page's path."""
    options = parse_options(ReproduceOptions, arguments, verb="reproduce", description=DESCRIPTION)
    if options.quick and options.full:
        raise InputError("Give --quick or --full, not both.")
    if options.processes is not None and options.processes < 1:
        raise InputError(f"processes is {options.processes}; give a whole number of at least 1.")

    engine = options.engine.chosen()

    from geomem.claims.catalogue import find_claims
    from geomem.claims.exchange import exchange_model
    from geomem.runs.job import find_model

    claims = find_claims(options.patterns)
    model = execute(options.model, options.embedding) if ":" in options.model else options.model or None
    if model:
        claims = exchange_model(claims, find_model(model))
    if options.list:
        _print_list(claims)
        return 0
    for place in (options.out, options.json):
        if place is not None:
            check_place(place)

    from geomem.claims.page import verdicts_json, write_page
    from geomem.claims.reproduce import reproduce
    from geomem.cli.verdicts import ClaimTable, markdown_table, print_verdicts

    scale = "full" if options.full else "quick"
    with ClaimTable() as table:
        verdicts = reproduce(
            options.patterns,
            scale=scale,
            seeds=options.seeds,
            directory=options.directory,
            device=options.device,
            processes=options.processes,
            engine=engine,
            hours=options.hours,
            model=model,
            on_event=table.show,
        )
    if options.markdown:
        print(markdown_table(verdicts))
    else:
        print_verdicts(verdicts)
    if model and not options.markdown:
        _print_holding(verdicts, options.model)
    if options.json:
        make_parent(options.json)
        write_json(options.json, verdicts_json(verdicts, scale=scale, seeds=options.seeds))
    print(write_page(verdicts, options.out, scale=scale))
    return 0 if all(verdict.as_expected for verdict in verdicts) else 1


def _print_holding(verdicts: Sequence, model: str) -> None:
    """Which statements of the papers hold for another model, and which do not."""
    outcomes = {verdict.claim.id: verdict.judgement and verdict.judgement.outcome for verdict in verdicts}
    for said, wanted in (("holds", True), ("does not hold", False)):
        ids = [name for name, outcome in outcomes.items() if outcome and (outcome == "holds") is wanted]
        if ids:
            open_console().print(Text(f"For {model} {said}: {', '.join(ids)}."), soft_wrap=True)


def _print_list(claims: Sequence) -> None:
    console = open_console()
    for claim in claims:
        names = " ".join([claim.id, *claim.aliases])
        cost = " (--full)" if claim.cost == "full" else ""
        console.print(Text.assemble((names, "bold"), f"  {claim.title}{cost}"), soft_wrap=True)
