"""A study from its question to its answer: what its claims need is trained or found, judged, tabulated."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import polars as pl

from geomem.claims.claim import Verdict
from geomem.claims.evidence import gather_evidence
from geomem.claims.need import Cost, Need, Scale
from geomem.claims.reproduce import ReproductionEvent, reproduce, select_claims
from geomem.errors import InputError
from geomem.runs.job import check_seeds
from geomem.studies.study import Study
from geomem.sweep.engines.work import Engine


@dataclass(frozen=True, eq=False)
class Finding:
    """What came out of a study."""

    study: Study
    scale: Scale
    table: pl.DataFrame
    verdicts: tuple[Verdict, ...]
    sentences: tuple[str, ...]

    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables of its page, by name."""
        return {name: make(self.table) for name, make in self.study.tables.items()}


def run_study(
    study: Study,
    *,
    scale: Cost = "quick",
    seeds: int | Sequence[int] | None = None,
    directory: str | os.PathLike[str] = "runs",
    device: str = "cpu",
    processes: int | None = None,
    engine: Engine | None = None,
    hours: float = inf,
    on_event: Callable[[ReproductionEvent], None] | None = None,
) -> Finding:
    """Do a study, as `reproduce` checks claims: what is in the directory is not trained again.

    Raises `InputError` as `reproduce` does, and if something that it needs failed.
    """
    given = check_seeds(study.seeds if seeds is None else seeds)
    claims = select_claims(study.claims, scale)
    verdicts = reproduce(
        scale=scale,
        seeds=given,
        directory=directory,
        device=device,
        processes=processes,
        engine=engine,
        hours=hours,
        claims=claims,
        on_event=on_event,
    )
    if failed := [verdict for verdict in verdicts if verdict.status == "not run"]:
        raise InputError(f"The study is not complete: {failed[0].claim.id} was not run. {failed[0].sentence}")
    size = Scale(scale, given)
    needs: dict[str, Need] = {}
    for number, need in enumerate(need for claim in claims for need in claim.requests(size)):
        needs[getattr(need, "key", str(number))] = need
    table = study.tabulate(gather_evidence(needs.values(), directory))
    return Finding(study, size, table, verdicts, study.conclude(table))
