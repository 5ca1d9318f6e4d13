"""Tokens of texts: words, or byte pairs learned from the texts themselves."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from geomem.errors import InputError
from geomem.worlds.text_file import show_label

Kind = Literal["words", "byte-pairs"]

BOUNDARY, PADDING = "[TEXT]", "[PAD]"
"""What begins and ends every text, and what fills a row after its end."""
SPECIALS = (BOUNDARY, PADDING)
BYTES = 256
WORD = re.compile(r" ?\w+| ?[^\w\s]|\s")


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A text as tokens and back; every word carries the space before it."""

    tokens: tuple[str, ...]
    """The text of every token, the special ones last; of byte pairs a letter for every byte."""
    pairs: Any = None
    """The tokenizer of the library `tokenizers`; None if tokens are words."""

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of every token."""
        return {token: number for number, token in enumerate(self.tokens)}

    def write(self, text: str) -> tuple[int, ...]:
        """The tokens of a text; raises `InputError` for a word that is not among them.

        >>> tokenizer = learn_tokens([" a b."], "words")
        >>> tokenizer.write(" b a."), tokenizer.read(tokenizer.write(" b a."))
        ((1, 0, 2), ' b a.')
        """
        if self.pairs is not None:
            return tuple(self.pairs.encode(text, add_special_tokens=False).ids)
        words = WORD.findall(text)
        if unknown := next((word for word in words if word not in self.numbers), ""):
            raise InputError(
                f"The word '{show_label(unknown.strip())}' was never told; ask with words of the sentences, "
                "or tell the graph in byte pairs."
            )
        return tuple(self.numbers[word] for word in words)

    def read(self, tokens: Iterable[int]) -> str:
        """The text of tokens; special ones are left out."""
        plain = [token for token in tokens if token < len(self.tokens) - len(SPECIALS)]
        if self.pairs is not None:
            return self.pairs.decode(plain)
        return "".join(self.tokens[token] for token in plain)


def learn_tokens(texts: Sequence[str], kind: Kind, *, vocabulary: int = 400) -> Tokenizer:
    """The tokens of some texts: their words, or so many byte pairs (Sennrich et al. 2016) at most.

    Raises `InputError` for byte pairs without the library `tokenizers`.

    >>> learn_tokens([" a b.", " a c."], "words").tokens
    (' a', ' b', '.', ' c', '[TEXT]', '[PAD]')
    """
    if kind == "words":
        words = dict.fromkeys(word for text in texts for word in WORD.findall(text))
        return Tokenizer((*words, *SPECIALS))
    library = _library()
    pairs = library.Tokenizer(library.models.BPE())
    pairs.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    pairs.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIALS),
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    pairs.train_from_iterator(texts, trainer)
    own = tuple(token for token, _ in sorted(pairs.get_vocab().items(), key=lambda entry: entry[1]))
    return Tokenizer((*own, *SPECIALS), pairs)


def _library() -> Any:
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    except ImportError as error:
        raise InputError(
            "Byte pairs need the library tokenizers; install geomem[hf], or give --tokens words."
        ) from error
    return tokenizers
