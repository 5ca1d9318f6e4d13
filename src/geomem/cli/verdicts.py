"""What a person sees while claims are checked: one line per claim, live or as it comes, then the table."""

from collections.abc import Sequence
from math import isfinite
from time import monotonic

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from geomem.claims.check import Quantity
from geomem.claims.claim import Claim, Expected, Status, Verdict, count_statuses, group_by_paper
from geomem.claims.reproduce import Count, Plan, ReproductionEvent, WorkDone, name_work
from geomem.cli.console import open_console
from geomem.cli.progress import LiveTable, count_of, format_seconds
from geomem.runs.directory import format_bytes

STYLES: dict[Status, str] = {
    "reproduced": "green",
    "deviates as documented": "yellow",
    "not reproduced": "red",
    "not run": "magenta",
}

LINE_SECONDS = 10.0
"""Without a terminal, a line about fleets and experiments at most this often."""


class ClaimTable(LiveTable):
    """A line per claim on standard error: what it waits for, then its verdict.

    `show` is the `on_event` of `reproduce`; use it as a context. Where there is no terminal, verdicts are
    written as plain lines when they are reached.
    """

    def __init__(self, *, console: Console | None = None):
        self.plan: Plan | None = None
        self.work: WorkDone | None = None
        self.verdicts: dict[str, Verdict] = {}
        self.began = monotonic()
        self.line_written = 0.0
        super().__init__(console=console)

    def show(self, event: ReproductionEvent) -> None:
        """Take in the plan, a fleet or experiment that is done, or a verdict."""
        match event:
            case Plan():
                self.plan, self.began = event, monotonic()
                self._say(describe_plan(event))
                for line in describe_large(event):
                    self._say(line)
            case WorkDone():
                self.work = event
                if event.error:
                    self._say(event.error)
                last = event.done == event.total
                if not self.live and (last or monotonic() - self.line_written > LINE_SECONDS):
                    self.line_written = monotonic()
                    self._say(self._work_line())
            case Verdict():
                self.verdicts[event.claim.id] = event
                if not self.live:
                    self._say(f"{event.claim.id}: {event.status}. {event.sentence}")

    def render(self) -> Table:
        """The claims as they stand, as many as the terminal has lines for; those reached longest ago go."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
        claims = self.plan.claims if self.plan else ()
        room = max(3, self.console.height - 4)
        gone = [claim for claim in claims if claim.id in self.verdicts][: max(0, len(claims) - room)]
        shown = [claim for claim in claims if claim not in gone]
        if gone:
            table.add_row(Text(f"{count_of(len(gone), 'claim')} checked before", style="dim"), "")
        for claim in shown[:room]:
            table.add_row(Text(claim.id, no_wrap=True, overflow="ellipsis"), self._state(claim))
        if len(shown) > room:
            table.add_row(Text(f"{count_of(len(shown) - room, 'claim')} more", style="dim"), "")
        if self.plan and self.plan.missing.total:
            table.add_row(Text(self._work_line(), style="dim"), "")
        return table

    def _state(self, claim: Claim) -> Text:
        if claim.id in self.verdicts:
            status = self.verdicts[claim.id].status
            return Text(status, style=STYLES[status])
        waiting = self.work.waiting.get(claim.id) if self.work else None
        return Text(f"waits for {count_work(waiting)}" if waiting else "running", style="dim")

    def _work_line(self) -> str:
        missing = self.plan.missing if self.plan else Count()
        done = self.work.done if self.work else 0
        passed = monotonic() - self.began
        share = self.work.share if self.work else 0.0
        estimate = self.plan.seconds if self.plan else 0.0
        # What they took tells more than the estimate once a tenth of the work is done.
        left = (
            (1 - share) * (passed + 0.1 * estimate) / (share + 0.1) if share else max(0.0, estimate - passed)
        )
        about = "" if done == missing.total else f", about {format_seconds(left)} left"
        return f"{done} of {missing.total} {name_work(missing)} done, {format_seconds(passed)}{about}"

    def _say(self, text: str) -> None:
        self.console.print(Text(text, style="dim" if self.live else ""), soft_wrap=not self.live)


def describe_plan(plan: Plan) -> str:
    """The sentence before anything starts: claims, runs, time, disk."""
    claims, needed, missing = count_of(len(plan.claims), "claim"), plan.needed, plan.missing
    if not needed.total:
        return f"{claims}; nothing to train"
    if not missing.total:
        return f"{claims}; {count_work(needed)} {'is' if needed.total == 1 else 'are'} kept already"
    kept = needed.total - missing.total
    before = f", {kept} kept already" if kept else ""
    runs = f"{count_of(plan.runs_to_train, 'run')} to train in " if missing.fleets else ""
    return (
        f"{claims}; {runs}{count_work(missing)}{before}; about {format_seconds(plan.seconds)} on "
        f"{count_of(plan.processes, 'core')}, {format_bytes(plan.disk_bytes)} disk"
    )


def describe_large(plan: Plan) -> list[str]:
    """A line for each claim of cost `full` that waits for work: its estimate, the cheapest first."""
    waiting = [claim for claim in plan.claims if claim.cost == "full" and claim.id in plan.claim_seconds]
    waiting.sort(key=lambda claim: plan.claim_seconds[claim.id])
    return [f"{claim.id}: about {format_seconds(plan.claim_seconds[claim.id])}" for claim in waiting]


def count_work(count: Count) -> str:
    """Fleets and experiments with their numbers.

    >>> count_work(Count(fleets=1)), count_work(Count(fleets=3, experiments=1))
    ('1 fleet', '3 fleets and 1 experiment')
    """
    kinds = {"fleet": count.fleets, "experiment": count.experiments}
    return " and ".join(count_of(number, noun) for noun, number in kinds.items() if number)


def print_verdicts(verdicts: Sequence[Verdict], console: Console | None = None) -> None:
    """Every claim with its verdict, measured mean, interval and seeds, what was expected and who says so.

    Then, in a sentence each, the claims that did not come out as expected or deviate, and the count. Where
    there are several papers, each has a heading and a count.
    """
    console = console or open_console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("claim", overflow="fold", min_width=26)
    table.add_column("verdict", max_width=14)
    table.add_column("mean [95 %], seeds", no_wrap=True)
    table.add_column("expected", overflow="fold")
    papers = group_by_paper(verdicts)
    for paper, groups in papers.items():
        if len(papers) > 1:
            table.add_row(Text(paper, style="bold underline"))
        for group, part in groups.items():
            table.add_row(Text(group, style="bold"))
            for verdict in part:
                quantity, expected = headline(verdict)
                table.add_row(
                    Text("  " + verdict.claim.id.partition("/")[2]),
                    Text(verdict.status, style=STYLES[verdict.status]),
                    Text(format_quantity(quantity) if quantity else ""),
                    Text(format_expected(expected) if expected else ""),
                )
    console.print(table)
    console.print()
    for verdict in verdicts:
        if verdict.status != "reproduced":
            console.print(Text.assemble((verdict.claim.id, "bold"), f", {verdict.status}:"), soft_wrap=True)
            console.print(Padding(Text(verdict.sentence), (0, 0, 0, 2)))
    if len(papers) > 1:
        for paper in papers:
            own = [verdict for verdict in verdicts if verdict.claim.paper == paper]
            console.print(f"{paper}: {say_counts(own)}")
    console.print(say_counts(verdicts))


def markdown_table(verdicts: Sequence[Verdict]) -> str:
    """Every claim with its rule, what came out and its verdict, as a table in Markdown."""
    rows = [("claim", "rule", "what came out", "verdict"), ("---",) * 4]
    for verdict in verdicts:
        names = f" ({', '.join(verdict.claim.aliases)})" if verdict.claim.aliases else ""
        rows.append((f"`{verdict.claim.id}`{names}", verdict.claim.rule, verdict.sentence, verdict.status))
    return "\n".join(f"| {' | '.join(text.replace('|', '&#124;') for text in row)} |" for row in rows)


def say_counts(verdicts: Sequence[Verdict]) -> str:
    """How many verdicts of each kind, those that there are."""
    return ", ".join(f"{count} {status}" for status, count in count_statuses(verdicts).items())


def headline(verdict: Verdict) -> tuple[Quantity | None, Expected | None]:
    """The first quantity that an expected value stands beside, and that; else the first of each."""
    entries = verdict.claim.expected
    quantities = verdict.judgement.quantities if verdict.judgement else ()
    for quantity in quantities:
        for entry in entries:
            if entry.quantity == quantity.name:
                return quantity, entry
    return next(iter(quantities), None), next(iter(entries), None)


def format_quantity(quantity: Quantity) -> str:
    """Mean, interval and number of seeds; a value that no seed changes stands alone.

    >>> import numpy as np
    >>> from geomem.claims.check import measure_quantity
    >>> format_quantity(measure_quantity("level", np.array([0.5, 0.5, 0.5])))
    '0.500 [0.500, 0.500], 3'
    """
    count = len(quantity.values)
    if not isfinite(quantity.low):
        return format_value(quantity.mean) + (f", {count}" if count > 1 else "")
    low, high = format_value(quantity.low), format_value(quantity.high)
    return f"{format_value(quantity.mean)} [{low}, {high}], {count}"


def format_expected(expected: Expected) -> str:
    """Expected value, what agrees with it, and who says so.

    >>> format_expected(Expected(0.5, "replication", "E.2, T6", tolerance="at least 0.4"))
    '0.500, at least 0.4 (replication)'
    """
    value = expected.value if isinstance(expected.value, str) else format_value(expected.value)
    return f"{value}{', ' if expected.tolerance else ''}{expected.tolerance} ({expected.source})"


def format_value(value: float) -> str:
    """A number with four significant digits at most.

    >>> format_value(0.12345), format_value(1234567.0), format_value(2.0), format_value(3e-7)
    ('0.123', '1234567', '2.000', '3e-07')
    """
    if not isfinite(value):
        return "-"
    if value == 0 or 1e-3 <= abs(value) < 1000:
        return f"{value:.3f}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.2g}"
