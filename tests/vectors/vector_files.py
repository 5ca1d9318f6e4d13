"""The same labelled vectors in the layouts that people's tools write, for the tests of this folder."""

import gzip
import json

import numpy as np
import polars as pl
import safetensors.numpy


def _lines(labels, rows, separator):
    return [
        separator.join([label, *map(repr, row)]) for label, row in zip(labels, rows.tolist(), strict=True)
    ]


def _quoted(label):
    return '"' + label.replace('"', '""') + '"'


def word2vec(path, labels, rows):
    """As gensim's `save_word2vec_format` writes it."""
    return _text(path / "v.txt", [f"{len(labels)} {rows.shape[1]}", *_lines(labels, rows, " ")])


def word2vec_of_c(path, labels, rows):
    """As the first word2vec writes it: a blank behind every number."""
    lines = [line + " " for line in _lines(labels, rows, " ")]
    return _text(path / "v.vec", [f"{len(labels)} {rows.shape[1]}", *lines])


def packed_word2vec(path, labels, rows):
    file = word2vec(path, labels, rows)
    packed = path / "v.txt.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    return packed


def fasttext(path, labels, rows):
    """As fastText writes its .vec: its end of sentences first, blanks at the ends of lines."""
    lines = [line + " " for line in _lines(["</s>", *labels], np.concatenate([rows[:1], rows]), " ")]
    return _text(path / "cc.vec", [f"{len(lines)} {rows.shape[1]}", *lines])


def glove(path, labels, rows):
    return _text(path / "glove.50d.txt", _lines(labels, rows, " "))


def comma_table(path, labels, rows):
    titles = ",".join(["node", *(f"x{at}" for at in range(rows.shape[1]))])
    return _text(path / "v.csv", [titles, *_lines(map(_quoted, labels), rows, ",")])


def comma_table_without_header(path, labels, rows):
    return _text(path / "v.csv", _lines(map(_quoted, labels), rows, ","))


def semicolon_table(path, labels, rows):
    return _text(path / "v.csv", _lines(map(_quoted, labels), rows, ";"))


def tab_table(path, labels, rows):
    return _text(path / "v.tsv", _lines(labels, rows, "\t"))


def data_frame_by_label(path, labels, rows):
    """As pandas writes a frame whose index holds the labels."""
    titles = ",".join(["", *map(str, range(rows.shape[1]))])
    return _text(path / "v.csv", [titles, *_lines(map(_quoted, labels), rows, ",")])


def data_frame_with_a_column_of_labels(path, labels, rows):
    """As pandas writes a frame that counts its rows, with the labels last."""
    titles = ",".join(["", *(f"x{at}" for at in range(rows.shape[1])), "node"])
    lines = [
        ",".join([str(at), *map(repr, row), _quoted(label)])
        for at, (label, row) in enumerate(zip(labels, rows.tolist(), strict=True))
    ]
    return _text(path / "v.csv", [titles, *lines])


def data_frame_with_its_index_reset(path, labels, rows):
    """As pandas writes a frame of numbered columns that counts its rows, with the labels in front."""
    titles = ",".join(["", "node", *map(str, range(rows.shape[1]))])
    lines = [f"{at},{line}" for at, line in enumerate(_lines(map(_quoted, labels), rows, ","))]
    return _text(path / "v.csv", [titles, *lines])


def frame_of_r(path, labels, rows):
    """As `write.table` of R writes a matrix with names of rows: quoted, and no title above them."""
    titles = " ".join(f'"V{at}"' for at in range(rows.shape[1]))
    return _text(path / "v.txt", [titles, *_lines([f'"{label}"' for label in labels], rows, " ")])


def packed_arrays(path, labels, rows):
    np.savez_compressed(path / "v.npz", words=np.array(labels), vectors=rows)
    return path / "v.npz"


def packed_arrays_without_names(path, labels, rows):
    np.savez(path / "v.npz", rows, np.array(labels))
    return path / "v.npz"


def frame(path, labels, rows):
    """As polars writes a frame with a column of labels."""
    columns = {f"x{at}": column for at, column in enumerate(rows.T)}
    pl.DataFrame({"node": labels, **columns}).write_parquet(path / "v.parquet")
    return path / "v.parquet"


def frame_of_lists(path, labels, rows):
    """As pandas writes a column of lists beside an index that counts the rows."""
    counter = np.arange(len(labels))
    pl.DataFrame({"vector": rows.tolist(), "word": labels, "__index_level_0__": counter}).write_parquet(
        path / "v.parquet"
    )
    return path / "v.parquet"


LABELLED = (
    frame,
    frame_of_lists,
    word2vec,
    word2vec_of_c,
    packed_word2vec,
    fasttext,
    glove,
    comma_table,
    comma_table_without_header,
    semicolon_table,
    tab_table,
    data_frame_by_label,
    data_frame_with_a_column_of_labels,
    data_frame_with_its_index_reset,
    frame_of_r,
    packed_arrays,
    packed_arrays_without_names,
)
"""Writers of files that carry their labels: (folder, labels, rows) to the path."""


def array(path, rows):
    np.save(path / "v.npy", rows)
    return path / "v.npy"


def tensor(path, rows):
    safetensors.numpy.save_file({"token_embedding": np.ascontiguousarray(rows)}, path / "v.safetensors")
    return path / "v.safetensors"


def plain_text(path, rows):
    """As `numpy.savetxt` writes it."""
    np.savetxt(path / "v.txt", rows, header="made by hand")
    return path / "v.txt"


UNLABELLED = (array, tensor, plain_text)
"""Writers of files without labels: (folder, rows) to the path."""


def label_lines(path, labels):
    return _text(path / "labels.txt", labels)


def label_list(path, labels):
    (path / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    return path / "labels.json"


def label_numbers(path, labels):
    """As tokenizers write their vocabulary."""
    content = json.dumps({label: at for at, label in enumerate(labels)}, ensure_ascii=False)
    (path / "vocab.json").write_text(content, encoding="utf-8")
    return path / "vocab.json"


def label_array(path, labels):
    np.save(path / "labels.npy", np.array(labels))
    return path / "labels.npy"


def label_frame(path, labels):
    pl.DataFrame({"index": labels}).write_parquet(path / "labels.parquet")
    return path / "labels.parquet"


LABEL_FILES = (label_lines, label_list, label_numbers, label_array, label_frame)
"""Writers of labels: (folder, labels) to the path."""


def _text(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
