"""The commands that write, each small, as `kills.py` kills them."""

from dataclasses import dataclass

FACTS = "".join(
    f"{person}\t{relation}\t{town}\n"
    for person, home, work in (("Ada", "Rome", "Paris"), ("Ben", "Paris", "Rome"), ("Cem", "Rome", "Rome"))
    for relation, town in (("lives in", home), ("works in", work))
)


@dataclass(frozen=True)
class Scenario:
    """A command that writes, what comes before it once, and what reads beside it."""

    name: str
    command: str
    before: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    """What the first reading command may print; anything if empty. It ends with 1 if there is no answer."""
    status: tuple[int, ...] = (0,)
    """How the uninterrupted command may end."""
    share: float = 1.0
    """Of the kills that the quickest get, where each takes long."""


STEPS = "--steps 40 --metric-every 10 --seeds 2 --quiet"
MEMORIZE = f"memorize cycle --nodes 6 --model transformer --width 8 {STEPS}"
GRID = f"sweep cycle --nodes 6 --model associative --over learning-rate=0.01,0.1 --over width=2,3 {STEPS}"
CONSTRUCT = "construct facts.tsv --out memory"
EDIT = "edit memory Ada 'lives in' Paris"
ASK = "ask memory Ada 'lives in'"
SCENARIOS = (
    Scenario("memorize", MEMORIZE, reads=("measure RUN",), share=0.4),
    Scenario(
        "paths",
        "paths path-star --arms 8 --length 3 --width 8 --layers 1 --epochs 4 --batches 2 --warmup-steps 2",
        reads=("measure RUN",),
        share=0.4,
    ),
    Scenario(
        "learn",
        f"learn facts.tsv --width 6 --mlp-width 8 {STEPS}",
        reads=("ask RUN Ada 'lives in'",),
        share=0.4,
    ),
    Scenario("construct", CONSTRUCT, reads=(ASK,), answers=("Rome",)),
    Scenario("edit", EDIT, before=(CONSTRUCT,), reads=(ASK,), answers=("Rome", "Paris")),
    Scenario(
        "edit what was edited",
        EDIT,
        before=(CONSTRUCT, "edit memory Ben 'lives in' Rome"),
        reads=(ASK,),
        answers=("Rome", "Paris"),
    ),
    Scenario(
        "forget",
        "forget memory Ada 'lives in'",
        before=(CONSTRUCT,),
        reads=(ASK,),
        answers=("Rome", "no answer"),
    ),
    Scenario(
        "edit a further answer",
        "edit memory Ada 'works in' Rome --also",
        before=(f"{CONSTRUCT} --several",),
        reads=("ask memory Ada 'works in'",),
        answers=("Paris",),
    ),
    Scenario(
        "forget one answer",
        "forget memory Ada 'works in' Paris",
        before=(f"{CONSTRUCT} --several", "edit memory Ada 'works in' Rome --also"),
        reads=("ask memory Ada 'works in'",),
        answers=("Paris", "Rome"),
    ),
    Scenario("sweep", f"{GRID} --processes 1", share=0.4),
    Scenario("sweep in two processes", f"{GRID} --processes 2", share=0.1),
    Scenario(
        "capacity",
        "capacity --subjects 4 --relations 1 --sizes 2 3 --seeds 2 --steps 40 --processes 1 --out c.svg",
        share=0.16,
    ),
    Scenario(
        "reproduce",
        "reproduce race/associative-two-steps --seeds 1 --processes 1 --json verdicts.json",
        status=(0, 1),
        share=0.16,
    ),
    Scenario(
        "report",
        "report RUN --out report.html --figures figures",
        before=(f"memorize cycle --nodes 6 --model node2vec {STEPS}",),
        share=0.1,
    ),
    Scenario(
        "export",
        "export RUN --out exported",
        before=(MEMORIZE,),
        status=(0, 2),  # a folder that is there already is refused
        share=0.4,
    ),
    Scenario(
        "import",
        "import exported --graph cycle --nodes 6 --quiet --directory imported",
        before=(MEMORIZE, "export RUN --out exported"),
        share=0.4,
    ),
)
