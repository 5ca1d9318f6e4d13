"""Names under their aliases: which is taken is told, and a wrong file is one sentence."""

import numpy as np
import pytest

from geomem.cli import main
from geomem.errors import InputError
from geomem.measure.vectors.aliases import read_aliases
from geomem.measure.vectors.reading import read_embeddings, read_named_vectors
from geomem.worlds.graphs.families import cycle

NAMES = ("Eswatini", "Czechia", "Chad", "Congo")
WORDS = "swaziland 1 0\nczechia 2 0\nczech 3 1\nrepublic 5 3\nchad 4 0\nzaire 6 0\n"


def written(folder, text, name="aliases.tsv"):
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize("header", ["", "country\talias\n"])
def test_the_first_alias_that_is_found_counts(tmp_path, header):
    lines = "Eswatini\tNgwane\nEswatini\tSwaziland\nCzechia\tCzech Republic\nChad\tTchad\nCongo\tZaire\n"
    aliases = read_aliases(written(tmp_path, header + lines), NAMES)
    assert aliases["Eswatini"] == ("Ngwane", "Swaziland")
    file = written(tmp_path, WORDS, "v.txt")
    read = read_named_vectors(file, NAMES, multiword="mean", aliases=aliases)
    assert read.vectors[0].tolist() == [[1, 0], [4, 2], [4, 0], [6, 0]]
    told = "'Swaziland' for 'Eswatini', 'Czech Republic' for 'Czechia', 'Zaire' for 'Congo'"
    assert f"3 nodes by an alias ({told})." in read.notes
    assert any("1 node as the mean of the words ('Czechia')" in note for note in read.notes)
    whole = read_named_vectors(file, NAMES, aliases=aliases)
    assert whole.vectors[0].tolist() == [[1, 0], [2, 0], [4, 0], [6, 0]]
    # Without aliases the same file says less.
    assert read_named_vectors(file, NAMES).found.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Eswatini\tSwaziland\nChzechia\tCzech Republic\n", "Line 2 of .* 'Chzechia', which is no name"),
        ("Eswatini\tSwaziland\told\nChad\tTchad\tnew\n", "has 3 columns; give one alias per line"),
        ("Eswatini\nChad\n", "column|separator"),
        ("Eswatini\t\nChad\tTchad\n", "Line 1 of .* has an alias that is empty"),
        ("", "is empty; give one alias per line"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path, text, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        read_aliases(written(tmp_path, text), NAMES)
    assert "\n" not in str(caught.value)


def test_an_alias_of_two_names_and_rows_without_labels_are_refused(tmp_path):
    file = written(tmp_path, WORDS, "v.txt")
    with pytest.raises(InputError, match="'chad' is an alias of 'Congo' and stands for 'Chad' as well"):
        read_named_vectors(file, NAMES, aliases={"Congo": ["chad"]})
    np.save(tmp_path / "v.npy", np.ones((4, 2)))
    with pytest.raises(InputError, match="have no labels for --aliases; name them with --labels"):
        read_embeddings(tmp_path / "v.npy", cycle(4), aliases={"0": ["a"]})


def test_the_command_line_reads_and_tells(tmp_path, capsys):
    rows = np.random.default_rng(0).normal(size=(8, 3))
    lines = [" ".join(["node" + "abcdefgh"[at], *map(repr, row)]) for at, row in enumerate(rows.tolist())]
    file = written(tmp_path, "\n".join(lines), "v.txt")
    aliases = written(tmp_path, "".join(f"{at}\tnode{'abcdefgh'[at]}\n" for at in range(8)))
    given = ["measure", "--embeddings", str(file), "--graph", "cycle", "--nodes", "8"]
    assert main([*given, "--aliases", str(aliases)]) == 0
    assert "8 nodes by an alias ('nodea' for '0'," in " ".join(capsys.readouterr().err.split())
    assert main(given) == 2
