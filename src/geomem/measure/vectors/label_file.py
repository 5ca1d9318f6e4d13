"""Labels of rows from a file of their own: one per line, a JSON list or dictionary, NumPy, Parquet."""

import json
from pathlib import Path

from geomem.errors import InputError
from geomem.files import check_plain_file
from geomem.measure.vectors.array_file import read_label_array
from geomem.measure.vectors.frame_file import read_label_frame
from geomem.worlds.text_file import read_text


def read_labels(path: Path) -> tuple[str, ...]:
    """The label of every row, in order.

    Text holds one label per line; blanks inside a line belong to the label. JSON is a list of labels, or a
    dictionary from label to row number as tokenizers write. `.npy` holds one axis of text or numbers, Parquet
    one column of text. Raises `InputError` for a missing, empty, too large or damaged file, an empty line,
    and row numbers with gaps.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "labels.txt").write_text("Ada\\nNew York\\n")
    ...     read_labels(Path(folder) / "labels.txt")
    ('Ada', 'New York')
    """
    if path.suffix.lower() == ".npy":
        return read_label_array(path)
    if path.suffix.lower() == ".parquet":
        check_plain_file(path, links=True)
        return read_label_frame(path)
    text = read_text(path, "one label per line")
    content = _json_content(path, text)
    if content is not None:
        return _from_json(path, content)
    labels = text.removesuffix("\n").split("\n")
    empty = next((number for number, label in enumerate(labels, 1) if not label.strip()), None)
    if empty is not None:
        raise InputError(f"Line {empty} of {str(path)!r} is empty; give one label per line.")
    return tuple(labels)


def _json_content(path: Path, text: str) -> list | dict | None:
    """What the text says as JSON; None if it holds lines, the first of which may be a label like [UNK]."""
    is_json = path.suffix.lower() == ".json"
    if not is_json and not text.lstrip().startswith(("[", "{")):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        if is_json:
            raise InputError(f"The file {str(path)!r} is not JSON; give a list of labels.") from error
        return None
    if not isinstance(content, list | dict):
        raise InputError(f"The file {str(path)!r} holds no list of labels; give one label per row.")
    return content


def _from_json(path: Path, content: list | dict) -> tuple[str, ...]:
    if isinstance(content, dict):
        order = sorted(content, key=lambda label: content[label] if type(content[label]) is int else -1)
        if [content[label] for label in order] != list(range(len(order))):
            raise InputError(
                f"The dictionary in {str(path)!r} does not number its labels 0, 1, 2, ... without gaps; "
                "give the number of its row for every label."
            )
        return tuple(order)
    if not all(isinstance(label, str | int | float) for label in content):
        raise InputError(f"The file {str(path)!r} holds no list of labels; give one label per row.")
    return tuple(map(str, content))
