"""Readers of facts: what was written is read back, and what is no table is refused in one sentence."""

import csv
import io
import re
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pandas
import polars
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geomem.errors import InputError
from geomem.worlds import text_file
from geomem.worlds.facts import table as fact_table
from geomem.worlds.facts.families import partial_facts, random_bijections, random_permutations
from geomem.worlds.facts.reader import facts_from, read_facts, write_facts
from geomem.worlds.facts.several_answers import numbered_relations
from geomem.worlds.facts.table import FactTable

LABELS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=6).map(
    lambda text: unicodedata.normalize("NFC", text)
)
# 1 and 1.0 are one label where all are numbers.
LABELS = LABELS.filter(lambda label: not re.fullmatch(r"[+-]?[0-9]+\.?0*", label) or label.isdecimal())
FACTS = st.dictionaries(st.tuples(LABELS, LABELS), LABELS, min_size=1, max_size=12).map(
    lambda facts: [(*question, answer) for question, answer in facts.items()]
)
SEVERAL = st.lists(
    st.tuples(*[st.sampled_from(letters) for letters in ("abc", "rq", "wxyz")]), min_size=1, max_size=20
)
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(folder: Path, text: str | bytes, name: str = "facts.tsv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def named_facts(table: FactTable) -> list[tuple[str, str, str]]:
    return [(table.subjects[s], table.relations[r], table.objects[o]) for s, r, o in table.facts.tolist()]


def refusal(value, **options) -> str:
    with pytest.raises(InputError) as error:
        read_facts(value, **options) if isinstance(value, Path) else facts_from(value, **options)
    message = str(error.value)
    assert message.endswith(".")
    assert ". " not in message
    assert "\n" not in message
    return message


# What is written is read back


@SHARED
@given(
    facts=FACTS,
    delimiter=st.sampled_from([("\t", "tab"), (",", "comma"), (";", "semicolon")]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
    comments=st.booleans(),
    names=st.sampled_from([None, ("subject", "relation", "object"), ("Head", "Relation", "Tail")]),
    wide=st.booleans(),
    told=st.booleans(),
)
def test_triples_survive_a_file(tmp_path, facts, delimiter, line_end, mark, comments, names, wide, told):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter[0], lineterminator=line_end, quoting=csv.QUOTE_ALL)
    for number, row in enumerate([names, *facts] if names else facts):
        if comments:
            text.write(f"  # comment {number}{line_end}{line_end}% and // more{line_end}//{line_end}")
        extra = ["weight" if row is names else number + 0.5] if wide else []
        writer.writerow([*row, *extra])
    path = write(tmp_path, ("\ufeff" if mark else "") + text.getvalue(), "facts.txt")
    layout = {"separator": delimiter[1], "columns": "1,2,3", "header": names is not None}
    try:
        table = read_facts(path, **(layout if told else {}))
    except InputError:  # two readings were plausible, or a comment has as many columns as data
        return
    assert sorted(named_facts(table)) == sorted(facts)


@SHARED
@given(FACTS)
def test_a_table_that_was_read_is_written_and_read_the_same(tmp_path, facts):
    table = facts_from(facts)
    write_facts(table, tmp_path / "facts.tsv")
    again = read_facts(tmp_path / "facts.tsv")
    assert again.digest == table.digest
    assert (again.subjects, again.relations, again.objects) == (
        table.subjects,
        table.relations,
        table.objects,
    )


@SHARED
@given(SEVERAL)
def test_several_answers_are_written_and_read_the_same(tmp_path, facts):
    table = facts_from(facts, several=True)
    write_facts(table, tmp_path / "facts.tsv")
    assert read_facts(tmp_path / "facts.tsv", several=True).digest == table.digest


@SHARED
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.2, 1.0), st.integers(0, 5))
def test_any_table_keeps_its_facts(tmp_path, subjects, relations, share, seed):
    table = partial_facts(random_bijections(subjects, relations, world_seed=seed), share, world_seed=seed)
    write_facts(table, tmp_path / "facts.tsv")
    assert sorted(named_facts(read_facts(tmp_path / "facts.tsv"))) == sorted(named_facts(table))


def test_labels_that_look_like_something_else_survive_a_file(tmp_path):
    labels = (
        "#1",
        "%",
        "//x",
        'say "hi"',
        '"',
        "a,b",
        "a;b",
        "- ",
        "Αθήνα",
        "دمشق",
        "北京",
        "<b>",
        "subject",
    )
    facts = [(label.strip(), "is", label.strip()) for label in labels] + [("relation", "object", "object")]
    table = facts_from(facts)
    write_facts(table, tmp_path / "facts.tsv")
    again = read_facts(tmp_path / "facts.tsv")
    assert again.digest == table.digest
    assert named_facts(again) == facts


MARKS = st.sampled_from([*"-=+|:\"#%;,()[]{}<>@'\\→a1. ", "---", "//", "sep=;", "relation", "NA", "_:b"])
ODD = st.lists(MARKS, min_size=1, max_size=4).map(lambda marks: "".join(marks).strip() or "q")


@given(st.lists(st.tuples(ODD, ODD, ODD), min_size=1, max_size=6))
def test_facts_of_marks_are_read_back_as_they_are(facts):
    """Rules of tables, comments, quotes and what a spreadsheet would run are labels here."""
    table = facts_from(facts, several=True)
    with tempfile.TemporaryDirectory() as folder:
        write_facts(table, Path(folder) / "facts.tsv")
        assert read_facts(Path(folder) / "facts.tsv", several=True).digest == table.digest


def test_a_fact_that_looks_like_a_rule_is_read_back(tmp_path):
    table = facts_from([("---", "=", "---"), ("=1+1", "is", "===")])
    write_facts(table, tmp_path / "facts.tsv")
    assert read_facts(tmp_path / "facts.tsv").digest == table.digest


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (" a", "has blanks at its ends or is not in Unicode's form NFC"),
        ("e\u0301", "has blanks at its ends or is not in Unicode's form NFC"),
        ("x" * 1001, "has 1,001 characters"),
        ("2.0", "is a whole number with decimals"),
    ],
)
def test_labels_that_would_not_be_read_back_are_not_written(tmp_path, label, message):
    table = FactTable("odd", ("s",), (label,), ("o",), np.array([[0, 0, 0]]))
    with pytest.raises(InputError, match=r"so it would not be read back; rename it\.") as error:
        write_facts(table, tmp_path / "facts.tsv")
    assert message in str(error.value)
    assert not (tmp_path / "facts.tsv").exists()


def test_files_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="is a directory; give the name of a file"):
        write_facts(facts_from([("a", "r", "x")]), tmp_path)


@given(FACTS)
def test_objects_of_other_libraries_say_the_same(facts):
    expected = facts_from(facts)
    assert sorted(named_facts(expected)) == sorted(facts)
    columns = {name: [fact[i] for fact in facts] for i, name in enumerate(("head", "relation", "tail"))}
    frame = {"weight": range(len(facts)), "tail": columns["tail"]} | columns
    for value in (pandas.DataFrame(frame), polars.DataFrame(frame), np.array(facts), iter(facts)):
        assert facts_from(value).digest == expected.digest
    for value in (pandas.DataFrame(facts), polars.DataFrame(facts, orient="row")):
        assert facts_from(value, columns=[1, 2, 3]).digest == expected.digest
    assert facts_from(expected) is expected


def test_ids_follow_the_file(tmp_path):
    table = read_facts(write(tmp_path, "b\tr\tx\na\tq\ty\nb\tp\ty\na\tr\tz\n"))
    assert (table.subjects, table.relations) == (("b", "a"), ("r", "p", "q"))
    assert table.objects == ("x", "y", "z")  # in the order of the sorted table: b r, b p, a r, a q
    numbers = read_facts(write(tmp_path, "10,1,7\n9,1,8\n9,0,7\n"))
    assert (numbers.subjects, numbers.relations, numbers.objects) == (("9", "10"), ("0", "1"), ("7", "8"))


# What a file may look like


def test_headers(tmp_path):
    swapped = write(tmp_path, "Object,Year,Subject,Relation\nRome,1871,Italy,capital\n")
    assert named_facts(read_facts(swapped)) == [("Italy", "capital", "Rome")]
    noted = write(tmp_path, "Object,Note,Subject,Relation\nRome,x,Italy,capital\n")
    assert "holds text ('x')" in refusal(noted)
    assert named_facts(read_facts(noted, columns="subject,relation,object")) == [("Italy", "capital", "Rome")]
    own = write(tmp_path, "land,what,answer\nItaly,capital,Rome\n")
    assert len(named_facts(read_facts(own))) == 2
    assert named_facts(read_facts(own, header=True)) == [("Italy", "capital", "Rome")]
    named = write(tmp_path, "subject,relation,object\nItaly,capital,Rome\n")
    assert ("subject", "relation", "object") in named_facts(read_facts(named, header=False))


def test_what_was_accepted_is_said(tmp_path):
    text = (
        "subject\trelation\tobject\nItaly\tborders\tFrance\nItaly\tcapital\tRome\nItaly\tborders\tAustria\n"
    )
    text += "Italy\tcapital\tRome\nItaly\tborders\tFrance\nFrance\tborders\tItaly\n"
    table = read_facts(write(tmp_path, text), several=True)
    assert table.notes == (
        "2 subjects, 2 relations, 4 objects, 4 facts from columns 1, 2 and 3 "
        '("subject", "relation", "object"), separator tab, header yes; first: Italy –borders→ France',
        "2 repeated facts were merged.",
        "1 of 3 questions has several answers, up to 2 ('Italy', 'borders').",
    )
    assert named_facts(table) == [
        ("Italy", "borders", "France"),
        ("Italy", "borders", "Austria"),
        ("Italy", "capital", "Rome"),
        ("France", "borders", "Italy"),
    ]
    assert read_facts(write(tmp_path, "a\tr\tb\na\tr\tb\n")).notes[1:] == ("1 repeated fact was merged.",)


@given(SEVERAL)
def test_several_answers_are_all_there_in_the_order_of_the_file(facts):
    table = facts_from(facts, several=True)
    expected: dict[tuple[str, str], dict[str, None]] = {}
    for subject, relation, answer in facts:
        expected.setdefault((subject, relation), {})[answer] = None
    known: dict[tuple[str, str], list[str]] = {}
    for subject, relation, answer in named_facts(table):
        known.setdefault((subject, relation), []).append(answer)
    assert known == {question: list(objects) for question, objects in expected.items()}
    assert table.several == any(len(objects) > 1 for objects in known.values())
    numbered = numbered_relations(table)
    assert not numbered.several
    found = {(subject, relation): answer for subject, relation, answer in named_facts(numbered)}
    for (subject, relation), objects in known.items():
        for number, answer in enumerate(objects, 1):
            assert found.pop((subject, relation if number == 1 else f"{relation} ({number})")) == answer
    assert not found


# What is refused


def test_conflicting_facts_say_which_and_what_to_do(tmp_path):
    path = write(tmp_path, "# towns\nItaly\tcapital\tRome\nFrance\tcapital\tParis\n\nItaly\tcapital\tTurin\n")
    assert refusal(path).replace(str(path), "F") == (
        "Line 5 of F answers 'Italy', 'capital' with 'Turin', but line 2 of F with 'Rome'; keep one of them, "
        "or allow several answers with several=True (--several on the command line)."
    )
    facts = [("a", "r", "x"), ("b", "r", "x"), ("b", "r", "y"), ("a", "r", "y")]
    assert "Fact 2 of 'facts' answers 'b', 'r' with 'y', but fact 1 of 'facts' with 'x'" in refusal(facts)


def test_numbered_relations_do_not_hide_the_users_own():
    table = facts_from([("a", "r", "x"), ("a", "r", "y"), ("a", "r (2)", "z")], several=True)
    with pytest.raises(InputError, match=r"relation 'r \(2\)' of the table 'facts' stands for itself and"):
        numbered_relations(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; give one fact per line"),
        ("# a\tr\tb\n", "only comments"),
        ("subject\trelation\tobject\n", "only a header"),
        ("a\tr\nb\tr\n", "Line 1 of F has 2 columns (separator tab); give one fact per line"),
        (
            "a,r,b\n\nc,r\n",
            "Line 3 of F has 2 columns and most lines have 3 (separator comma); give one fact per line",
        ),
        ("Italy\n", "Line 1 of F has 1 column ('Italy'); give one fact per line: subject, relation and"),
        ("a\tr\t\nb\tr\tx\n", "Line 1 of F has a label that is empty"),
        ('a,"b,c\nd,e,f\n', "Line 1 of F has a double quote out of place"),
        (f"a\tr\tb\n{'x' * 1001}\tr\tb\n", "Line 2 of F has a label that has 1,001 characters"),
        ('a,"b\tc",d\ne,f,g\n', "has a label that has the control character"),
        ("a\tr\tb\x85c\n", "has a label that has the control character"),
        ("a\tr\t\x1b[31mred\n", "binary"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "UTF-8"),
    ],
)
def test_bad_files(tmp_path, text, message):
    path = write(tmp_path, text)
    assert message in refusal(path).replace(str(path), "F")


def test_bad_paths_and_sizes(tmp_path, monkeypatch):
    assert "There is no file" in refusal(tmp_path / "nothing.tsv")
    assert "directory" in refusal(tmp_path)
    path = write(tmp_path, "a\tr\tx\nb\tr\tx\nc\tr\tx\n")
    monkeypatch.setattr(fact_table, "MAXIMUM_FACTS", 2)
    assert "3 facts; give one with at most" in refusal(path)
    assert "3 facts; give one with at most" in refusal([("a", "r", "x")] * 3)
    monkeypatch.undo()
    monkeypatch.setattr(fact_table, "MAXIMUM_LABELS", 2)
    assert "3 subjects, 1 relations" in refusal(path)
    monkeypatch.setattr(text_file, "MAXIMUM_FILE_BYTES", 17)
    assert "larger than 17 bytes" in refusal(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "A int is not a table of facts"),
        (np.zeros((3, 2)), "shape (3, 2)"),
        ([("a", "r", "b"), ("c", "r")], "Entry 1 of the facts"),
        (["abc"], "Entry 0 of the facts"),
        ([], "has no fact"),
        ([("a", None, "b")], "Fact 0 of 'facts' lacks a part"),
        ([("a", float("nan"), "b")], "Fact 0 of 'facts' lacks a part"),
        ([("a", "", "b")], "Fact 0 of 'facts' has a label that is empty"),
        ([("a", "r\n", "b"), ("a", "r\nq", "b")], "Fact 1 of 'facts' has a label that has the control char"),
        ([("a", "r", "\ud800")], "half a surrogate pair"),
        (pandas.DataFrame({"a": ["x"], "b": ["y"]}), "has 2 columns, but a fact has three"),
        (polars.DataFrame({"a": ["x"], "b": ["y"], "c": [None]}), "Fact 0 of 'facts' lacks a part"),
    ],
)
def test_bad_objects(value, message):
    assert message in refusal(value)


@SHARED
@given(
    st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.text('<>"_:.\\@^ ab/#[]{},1\n\t', max_size=60).map(str.encode),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["facts.tsv", "facts.nt", "facts.jsonl", "facts.json", "facts.csv.gz"]),
)
def test_no_file_at_all_ends_in_anything_but_a_table_or_one_sentence(tmp_path, data, several, wide, name):
    try:
        table = read_facts(write(tmp_path, data, name), several=several, wide=wide)
    except InputError:
        return
    assert table.fact_count > 0


def test_twenty_thousand_facts_survive_a_file(tmp_path):
    table = random_permutations(500, 40)
    write_facts(table, tmp_path / "facts.tsv")
    again = read_facts(tmp_path / "facts.tsv")
    assert again.fact_count == 20_000
    assert set(named_facts(again)) == set(named_facts(table))
