"""Names of nodes in sentences: their labels, or made-up ones of two words that can be spoken."""

from collections.abc import Sequence
from math import ceil, isqrt
from typing import Literal

import numpy as np

Names = Literal["labels", "own-last", "shared-last"]

NAME_STREAM = 7
"""Second number of the seed that makes up names."""
CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


def made_up_names(labels: Sequence[str], names: Names, *, seed: int) -> tuple[str, ...]:
    """A name for every label: itself, or one word of its own and one that some √n of n names share.

    With "own-last" the shared word comes first, with "shared-last" it comes last; the words are the same.
    They depend on the set of labels and the seed alone, not on the order of the labels.

    >>> made_up_names(("0", "1", "2", "3"), "own-last", seed=0)
    ('Lesu Ruta', 'Suga Sabi', 'Lesu Munu', 'Suga Zata')
    >>> made_up_names(("0", "1", "2", "3"), "shared-last", seed=0)[0]
    'Ruta Lesu'
    """
    if names == "labels":
        return tuple(labels)
    count, groups = len(labels), ceil(len(labels) / max(1, isqrt(len(labels))))
    generator = np.random.default_rng([seed, NAME_STREAM])
    words = _words(count + groups, generator)
    # Who shares a word with whom says nothing about the graph.
    families = generator.permutation(np.arange(count) % groups)
    found = {}
    for place, label in enumerate(sorted(labels)):
        own, shared = words[place], words[count + int(families[place])]
        found[label] = f"{shared} {own}" if names == "own-last" else f"{own} {shared}"
    return tuple(found[label] for label in labels)


def _words(count: int, generator: np.random.Generator) -> list[str]:
    """Different words of two syllables, or of as many as are needed."""
    syllables, length = len(CONSONANTS) * len(VOWELS), 2
    while syllables**length < 2 * count:
        length += 1
    drawn = generator.choice(syllables**length, size=count, replace=False)
    words = []
    for number in drawn.tolist():
        letters = ""
        for _ in range(length):
            number, syllable = divmod(number, syllables)
            letters += CONSONANTS[syllable // len(VOWELS)] + VOWELS[syllable % len(VOWELS)]
        words.append(letters.capitalize())
    return words
