"""Places: which sections of our notes on a paper a text cites, so that nobody takes them for the paper's own.

The notes are the pages docs/papers/geometric-memory.md and docs/papers/factual-recall.md. Their sections are
B.3.5 and the like on the first paper and C2 and the like on the second; rows of their tables and lists
are T6, L9, E.4.3, E14.
"""

import re

GEOMETRIC_MEMORY = "arXiv 2510.26745"
FACTUAL_RECALL = "arXiv 2605.12426"

PAGES = {GEOMETRIC_MEMORY: "geometric-memory", FACTUAL_RECALL: "factual-recall"}
"""The page of the notes on each paper, in docs/papers."""

# A letter with a number may also be an appendix of the paper itself: "App E.2", "Appendix E.1".
_OWN_APPENDIX = r"(?<!App )(?<!Appendix )(?<!appendix )"
_CITED = {
    GEOMETRIC_MEMORY: rf"{_OWN_APPENDIX}\b(?:section D|D(?=, )|[A-G](?:\.\d)+|[TLN]\d+)(?!\w)",
    FACTUAL_RECALL: rf"{_OWN_APPENDIX}\b[A-GSL]\d+(?!\w)",
}
_NOTHING = r"(?!)"
_JOINED = r"(?:(?:,| and| to|;) ?|[, ]*\[[\w/]+\], )"
_ROWS = {
    GEOMETRIC_MEMORY: {"T": "E.2", "L": "E.1", "N": "E.3"},
    FACTUAL_RECALL: {"S": "A2", "L": "A3", "D": "D", "E": "E"},
}


def cited_sections(place: str, paper: str) -> list[tuple[str, str]]:
    """What a place names in the notes on its paper, each with the section that it stands in.

    There are no notes on studies of our own.

    >>> cited_sections("Fig 21, B.3.5, T8", GEOMETRIC_MEMORY)
    [('B.3.5', 'B.3.5'), ('T8', 'E.2')]
    >>> cited_sections("Prop 3, App E.2", GEOMETRIC_MEMORY)
    []
    """
    found = []
    for match in re.finditer(_CITED.get(paper, _NOTHING), place):
        name = match.group().removeprefix("section ")
        item = name.rpartition(".")[0] if name.startswith("E.4.") else None
        row = _ROWS[paper].get(name[0]) if name[1:].isdigit() else item
        found.append((name, row or name))
    return found


def cite(place: str, paper: str) -> str:
    """The place with the word "notes" before what stands in our notes, not in the paper.

    >>> cite("Fig 21, B.3.2 and B.3.3, T1", GEOMETRIC_MEMORY)
    'Fig 21, notes B.3.2 and B.3.3, T1'
    >>> cite("Theorem 4.1 [P/T]; A2, S1 [D]", FACTUAL_RECALL)
    'Theorem 4.1 [P/T]; notes A2, S1 [D]'
    """
    cited = _CITED.get(paper, _NOTHING)
    return re.sub(
        f"{cited}(?:{_JOINED}{cited})*", lambda run: "notes " + run.group().replace("section ", ""), place
    )


def link_notes(place: str, paper: str) -> str:
    """The place in Markdown, every section of the notes a link to its heading.

    >>> link_notes("Fig 12; B.3.5", GEOMETRIC_MEMORY)
    'Fig 12; [notes B.3.5](#geometric-memory-b-3-5)'
    """
    sections = iter(cited_sections(place, paper))

    def link(match: re.Match[str]) -> str:
        name, section = next(sections)
        return f"[notes {name}](#{anchor(section, paper)})"

    return re.sub(_CITED.get(paper, _NOTHING), link, place)


def anchor(section: str, paper: str) -> str:
    """The name of a section's heading on the page of the notes.

    >>> anchor("B.3.5", GEOMETRIC_MEMORY), anchor("C2", FACTUAL_RECALL)
    ('geometric-memory-b-3-5', 'factual-recall-c2')
    """
    return f"{PAGES[paper]}-{section.lower().replace('.', '-')}"
