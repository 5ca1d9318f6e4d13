"""Tokens of a world: one per node, then the special tokens in the order of the authors' release."""

from dataclasses import dataclass

SPECIAL_TOKENS = ("|", "[PAUSE]", "/", "$", ">", "<", "[PAD]", "[EDGE]", "[PATH]")


@dataclass(frozen=True)
class Vocabulary:
    """Token ids of a world: node `i` is token `i`, then nine special tokens (arXiv 2510.26745, release).

    >>> vocabulary = Vocabulary(labels=("a", "b"))
    >>> vocabulary.size, vocabulary.token("[EDGE]"), vocabulary.text(1)
    (11, 9, 'b')
    """

    labels: tuple[str, ...]

    @property
    def node_count(self) -> int:
        """Number of node tokens."""
        return len(self.labels)

    @property
    def size(self) -> int:
        """Number of all tokens: nodes and specials."""
        return len(self.labels) + len(SPECIAL_TOKENS)

    def token(self, special: str) -> int:
        """Token id of a special token; raises `ValueError` for any other text."""
        return len(self.labels) + SPECIAL_TOKENS.index(special)

    def text(self, token: int) -> str:
        """Label of a node token, or the name of a special token."""
        return self.labels[token] if token < len(self.labels) else SPECIAL_TOKENS[token - len(self.labels)]
