"""How facts and changes to them are shown on the command line."""

from collections import Counter
from dataclasses import dataclass

from geomem.cli.options import FileOptions
from geomem.cli.progress import count_of
from geomem.memories.edit import Effect
from geomem.worlds.facts.columns import FactLayout


@dataclass(frozen=True)
class FactFileOptions(FileOptions):
    """The layout of a file of facts; whatever is not given is detected and printed."""

    wide: bool = False
    """Read a table with one subject per line: each other column is a relation, named by the first line."""
    relation: tuple[str, ...] = ()
    """The only relations to read, by name; all if not given."""

    @property
    def layout(self) -> FactLayout:
        """What was said, for the reader of facts."""
        given = super().layout
        return FactLayout(
            given.columns, given.header, given.separator, given.comment, self.wide, self.relation
        )


SEPARATOR = "\t"
"""Between the answers on the last line: no label has a tab in it."""

NO_ANSWER = "no answer"


def print_effect(effect: Effect) -> None:
    """What a change did: to its question, to the vectors that hold the answers, to all other facts."""
    before, after = (NO_ANSWER if label is None else label for label in (effect.before, effect.after))
    if not effect.changed_vectors:
        print(f"{effect.subject}, {effect.relation}: {after} already; nothing to change")
        return
    if not effect.other_answers:
        said = f"{before} -> {after}"
    elif effect.before is None or effect.after is None:
        said = f"{after} added" if effect.before is None else f"{before} taken out"
    else:
        said = f"{after} in the place of {before}"
    stay = f", {count_of(effect.other_answers, 'other answer')} kept" if effect.other_answers else ""
    print(f"{effect.subject}, {effect.relation}: {said}{stay}")
    vectors = [
        f"{'one' if count == 1 else f'{count:,}'} {kind}{'s' if count > 1 else ''}"
        for kind, count in Counter(effect.changed_vectors).items()
    ]
    numbers = count_of(effect.changed_numbers, "number")
    print(f"{numbers} of {' and '.join(vectors)} changed, and nothing else")
    others = count_of(effect.other_facts, "other fact")
    print(
        f"{others} asked before and after: {count_of(effect.changed_answers, 'answer')} changed, "
        f"the largest change of a logit is {effect.largest_shift:.3g}"
    )
