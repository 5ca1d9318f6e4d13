"""Files of facts that people have: each kind is read as it is meant, or refused with what to say."""

import csv
import gzip
import io
import json

import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geomem.cli import main
from geomem.errors import InputError
from geomem.worlds.facts.columns import known_columns
from geomem.worlds.facts.reader import facts_from, read_facts

SHARED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WIDE = "country,capital,currency\nAlda,Albu,ALD\nBruna,Brick,BRN\nCorra,Corv,COR\n"
RELATION_FIRST = "borders\tAlda\tBruna\nborders\tBruna\tCorra\ncapital\tAlda\tAlbu\ncapital\tBruna\tBrick\n"
CAPITALS = [("Alda", "capital", "Albu"), ("Bruna", "capital", "Brick")]


@pytest.fixture
def file(tmp_path):
    def write(text, name="facts.tsv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def named(table):
    return [(table.subjects[s], table.relations[r], table.objects[o]) for s, r, o in table.facts.tolist()]


def refusal(path, **options):
    with pytest.raises(InputError) as error:
        read_facts(path, **options)
    message = str(error.value)
    assert message.endswith((".", "?"))
    assert "\n" not in message
    return message


# Which columns.


def test_a_wide_table_is_not_taken_for_triples(file):
    path = file(WIDE, "wide.csv")
    said = refusal(path)
    assert "a wide table with the fact Alda –capital→ Albu (--wide)" in said
    assert "the first country –capital→ currency (--no-header)" in said
    table = read_facts(path, wide=True)
    assert named(table)[:2] == [("Alda", "capital", "Albu"), ("Alda", "currency", "ALD")]
    assert table.notes[0].startswith("3 subjects, 2 relations, 6 objects, 6 facts from columns 1, 2 and 3")
    assert table.notes[0].endswith("first: Alda –capital→ Albu")
    assert len(named(read_facts(path, header=False))) == 4


def test_a_wide_table_with_numbers_or_repeated_answers_is_not_taken_for_triples(file):
    numbers = file("name,born,city\nAda,1990,Rome\nBen,1991,\nCid,,Oslo\n", "born.csv")
    said = refusal(numbers)
    assert "a wide table with the fact Ada –born→ 1990 (--wide)" in said
    assert "triples below a header, the first Ada –1990→ Rome (--columns 1,2,3)" in said
    assert read_facts(numbers, wide=True).fact_count == 4
    with pytest.raises(InputError, match="two ways"):
        facts_from(pandas.read_csv(file(WIDE, "wide.csv")))
    assert facts_from(pandas.read_csv(file(WIDE, "wide.csv")), wide=True).fact_count == 6
    same = file("land,part,coin\nAlda,Europe,EUR\nBruna,Europe,EUR\nCorra,Asia,COR\nDelta,Asia,COR\n")
    said = refusal(same)
    assert all(option in said for option in ("three ways", "(--wide)", "(--header)", "(--no-header)"))
    floats = pandas.DataFrame({"name": ["Ada", "Ben"], "born": [1990, None], "city": ["Rome", "Bonn"]})
    table = read_facts(file(floats.to_csv(index=False)), wide=True)
    assert ("Ada", "born", "1990") in named(table)


def test_names_that_a_data_frame_counted_are_a_header(file):
    frame = pandas.DataFrame([*CAPITALS, ("Corra", "money", "COR"), ("Dale", "people", "Dalers")])
    assert named(read_facts(file(frame.to_csv(index=False))))[:2] == CAPITALS
    assert named(read_facts(file(frame.to_csv())))[:2] == CAPITALS


def test_wide_tables_of_other_kinds(file):
    cells = "city,country,population\nRome,Italy,2.8\nBonn,Germany,\nParis,France,2.1\n"
    table = read_facts(file(cells), wide=True)
    assert table.fact_count == 5
    assert "1 empty cell holds no fact." in table.notes
    assert ("Rome", "population", "2.8") in named(table)
    chosen = read_facts(file(cells), wide=True, columns="country,city")
    assert named(chosen)[0] == ("Italy", "city", "Rome")
    assert read_facts(file(cells), wide=True, relation="country").relations == ("country",)
    indexed = read_facts(file(pandas.read_csv(io.StringIO(cells)).to_csv()), wide=True)
    assert named(indexed) == named(table)
    two = read_facts(file("land\tcapital\nItaly\tRome\n"), wide=True)
    assert named(two) == [("Italy", "capital", "Rome")]
    assert "has to name the relations of a wide table" in refusal(file(cells), wide=True, header=False)
    assert "is named 'x' like another" in refusal(file("a,x,x\n1,2,3\n"), wide=True)
    assert "has no name" in refusal(file("a,,x\nb,c,d\n"), wide=True)
    twice = file("city,country\nRome,Italy\nRome,Georgia\n")
    assert "several=True" in refusal(twice, wide=True)
    assert read_facts(twice, wide=True, several=True).fact_count == 2


def test_the_relation_first(file):
    said = refusal(file(RELATION_FIRST))
    assert "borders –Alda→ Bruna (--columns 1,2,3)" in said
    assert "Alda –borders→ Bruna (--columns 2,1,3)" in said
    table = read_facts(file(RELATION_FIRST), columns="2,1,3")
    assert (table.subjects, table.relations) == (("Alda", "Bruna"), ("borders", "capital"))
    assert len(read_facts(file(RELATION_FIRST), columns=[1, 2, 3]).relations) == 2


def test_the_relation_last_and_far_fewer_relations_elsewhere(file):
    last = "Ada\tBen\tboss\nBen\tCid\tboss\nCid\tDan\tfriend\n"
    assert "Ada –boss→ Ben (--columns 1,3,2)" in refusal(file(last))
    assert len(read_facts(file(last), columns="1,3,2").relations) == 2
    numbers = "".join(f"{n}\t{n + 1}\t{n % 2}\n" for n in range(40))
    assert "0 –0→ 1 (--columns 1,3,2)" in refusal(file(numbers))
    usual = "".join(f"{n}\t{n % 2}\t{n + 1}\n" for n in range(40))
    assert read_facts(file(usual)).relation_count == 2


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("subject relation object", (0, 1, 2)),
        ("Object,Predicate,Subject", (2, 1, 0)),
        ("s p o", (0, 1, 2)),
        ("h r t", (0, 1, 2)),
        ("h t r", (0, 2, 1)),
        ("head rel tail weight", (0, 1, 2)),
        ("id node1 label node2", (1, 2, 3)),
        ("item property value", (0, 1, 2)),
        ("itemLabel propertyLabel valueLabel", (0, 1, 2)),
        ("subject_label relation_label object_label", (0, 1, 2)),
        ("item itemLabel property propertyLabel value valueLabel", (0, 2, 4)),
        ("subj pred obj", (0, 1, 2)),
        ("source type target", (0, 1, 2)),
        ("entity attribute value", (0, 1, 2)),
        ("country capital currency", None),
        ("subject object", None),
    ],
)
def test_known_names(names, expected):
    assert known_columns(names.replace(",", " ").split()) == expected


def test_a_header_of_known_names_in_any_order_with_columns_that_say_nothing(file):
    kgtk = "id\tnode1\tlabel\tnode2\trank\nQ1-P36-Q2\tQ1\tP36\tQ2\t1\nQ3-P36-Q4\tQ3\tP36\tQ4\t2\n"
    table = read_facts(file(kgtk))
    assert named(table) == [("Q1", "P36", "Q2"), ("Q3", "P36", "Q4")]
    assert table.notes[1] == 'Columns "id", "rank" were left out.'
    assert named(read_facts(file("node1\tlabel\tnode2\nQ1\tP36\tQ2\nQ3\tP36\tQ4\n"))) == named(table)
    frame = pandas.DataFrame(CAPITALS, columns=["head", "rel", "tail"])
    assert named(read_facts(file(frame.to_csv(), "frame.csv"))) == CAPITALS  # with its index
    assert named(read_facts(file(frame.to_csv(sep="\t", index=False)))) == CAPITALS


def test_a_column_of_text_is_not_left_out_in_silence(file):
    labelled = "item,itemLabel,property,value\nQ1,Alda,P36,Q2\nQ3,Bruna,P36,Q4\n"
    said = refusal(file(labelled))
    assert 'Column "itemLabel" of ' in said
    assert "--columns 1,3,4" in said
    pairs = "item,itemLabel,property,propertyLabel,value,valueLabel\nQ1,Ada,P1,boss,Q2,Ben\n"
    assert "--columns 1,3,5 or --columns 2,4,6" in refusal(file(pairs))
    assert named(read_facts(file(labelled), columns="itemLabel,property,value"))[0] == ("Alda", "P36", "Q2")
    dated = "Alda\tmeets\tBruna\t2014-01-01\nBruna\tmeets\tCorra\t2014-01-02\n"
    assert "Column 4 of " in refusal(file(dated))
    assert read_facts(file(dated), columns="1,2,3").fact_count == 2
    weighed = read_facts(file("Alda\tmeets\tBruna\t0.5\nBruna\tmeets\tCorra\t1\n"))
    assert weighed.notes[1] == "Column 4 was left out."
    with pytest.raises(InputError, match="holds text"):
        facts_from(pandas.DataFrame({"s": ["a"], "p": ["r"], "o": ["b"], "source": ["web"]}))
    index = read_facts(file("0\tAlda\tmeets\tBruna\n1\tBruna\tmeets\tCorra\n"))
    assert named(index)[0] == ("Alda", "meets", "Bruna")


def test_a_header_of_unknown_words(file):
    text = "land,what,answer\nAlda,capital,Albu\nBruna,capital,Brick\nAlda,money,ALD\nBruna,money,BRN\n"
    said = refusal(file(text, "own.csv"))
    assert "Alda –capital→ Albu (--header)" in said
    assert "land –what→ answer (--no-header)" in said
    assert read_facts(file(text, "own.csv"), header=True).fact_count == 4
    assert read_facts(file(text, "own.csv"), header=False).fact_count == 5
    assert read_facts(file(text, "own.csv"), columns="land,what,answer").fact_count == 4


# How lines are cut.


def test_an_object_with_the_separator_in_it(file):
    text = "subject,relation,object\nAlda,capital,Albu, North\nBruna,capital,Brick\n"
    said = refusal(file(text, "comma.csv"))
    assert said.startswith("Line 2 of ")
    assert "has 4 columns and most lines have 3 (separator comma)" in said
    quoted = read_facts(file(text.replace("Albu, North", '"Albu, North"'), "comma.csv"))
    assert named(quoted)[0][2] == "Albu, North"


def test_a_label_that_starts_with_a_quoted_word(file):
    table = read_facts(file('"Star" (song)\tby\tAda\n"Big Al" Roy\toccupation\tpilot\n'))
    assert named(table) == [('"Star" (song)', "by", "Ada"), ('"Big Al" Roy', "occupation", "pilot")]


def test_ids_that_a_data_frame_turned_into_floats(file):
    table = read_facts(file("subject,relation,object\n1,7,2.0\n2,7,3.0\n3,7,1.0\n"))
    assert (table.subjects, table.objects) == (("1", "2", "3"), ("1", "2", "3"))
    assert any("written short, as 2.0 to 2" in note for note in table.notes)
    kept = read_facts(file("subject,relation,object\nx,version,3.10\ny,version,3.1\n"))
    assert kept.objects == ("3.10", "3.1")


def test_comments_are_counted_and_shown(file):
    table = read_facts(file("# towns\nsubject\trelation\tobject\nAlda\tcapital\tAlbu\n"))
    assert "1 comment line (# towns)" in table.notes[0]


def test_a_comment_behind_a_tab_is_a_comment(file):
    table = read_facts(file("\t# of ours\tand more\nAlda\tcapital\tAlbu\nBruna\tcapital\tBrick\n"))
    assert named(table) == CAPITALS


def test_relations_are_chosen_by_name(file):
    text = "subject,relation,object\nAlda,capital,Albu\nAlda,money,ALD\nBruna,capital,Brick\n"
    table = read_facts(file(text), relation="capital")
    assert named(table) == CAPITALS
    assert "2 of 3 facts are of the relations asked for." in table.notes
    assert read_facts(file(text), relation=["capital", "money"]).fact_count == 3
    assert "did you mean capital?" in refusal(file(text), relation="capitl")


# Other formats.


def test_n_triples(file):
    text = (
        "# a comment\n<http://x.org/Alda> <http://x.org/capital> <http://x.org/Albu> .\n\n"
        '<http://x.org/Bruna> <http://x.org/capital> "Bri\\u0063k \\"B\\""@en . # more\n'
        "<http://x.org/Bruna> <http://x.org/money> _:b1 .\n"
        '<http://x.org/Corra> <http://x.org/people> "12"^^<http://www.w3.org/2001/XMLSchema#int> .\n'
    )
    for path in (
        file(text, "three.nt"),
        file(gzip.compress(text.encode()), "three.nt.gz"),
        file(text, "a.txt"),
    ):
        table = read_facts(path)
        assert named(table) == [
            ("Alda", "capital", "Albu"),
            ("Bruna", "capital", 'Brick "B"'),
            ("Bruna", "money", "_:b1"),
            ("Corra", "people", "12"),
        ]
        assert table.notes[0].endswith("from N-Triples; first: Alda –capital→ Albu")
        assert "an IRI is called by its last piece" in table.notes[1]


def test_iris_that_end_alike_and_literals_are_kept_apart(file):
    text = (
        "<http://x.org/Alda> <http://x.org/near> <http://y.org/Alda> .\n"
        '<http://x.org/Bruna> <http://x.org/name> "Corra" .\n'
        "<http://x.org/Bruna> <http://x.org/near> <http://x.org/Corra> .\n"
    )
    assert set(named(read_facts(file(text, "a.nt")))) == {
        ("http://x.org/Alda", "near", "http://y.org/Alda"),
        ("Bruna", "near", "http://x.org/Corra"),
        ("Bruna", "name", "Corra"),
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("<http://x.org/a> <http://x.org/b> <http://x.org/c>", "Line 2 of"),
        ("<http://x.org/a> <http://x.org/b> .", "not a statement of N-Triples"),
        ('<http://x.org/a> <http://x.org/b> "a\\u00" .', "escape"),
        ('<http://x.org/a> <http://x.org/b> "a\\uD800" .', "escape"),
        ('<http://x.org/a> <http://x.org/b> "a\\nb" .', "control character"),
        ('<http://x.org/a> <http://x.org/b> "" .', "empty"),
    ],
)
def test_damaged_n_triples(file, line, message):
    good = "<http://x.org/Alda> <http://x.org/capital> <http://x.org/Albu> .\n"
    assert message in refusal(file(good + line + "\n", "a.nt"))


def test_json_lines_and_json(file):
    keys = ("subject", "relation", "object")
    rows = [dict(zip(keys, fact, strict=True)) for fact in CAPITALS]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    for path in (
        file(lines, "a.jsonl"),
        file(lines, "a.ndjson"),
        file(gzip.compress(lines.encode()), "a.jsonl.gz"),
        file("".join(json.dumps(fact) + "\n" for fact in CAPITALS), "b.jsonl"),
        file(json.dumps(rows, indent=1), "a.json"),
        file(json.dumps(CAPITALS), "b.json"),
        file("".join(json.dumps(row | {"score": 0.5}) + "\n" for row in rows), "c.jsonl"),
    ):
        assert named(read_facts(path)) == CAPITALS
    assert (
        'from JSON lines, keys "subject", "relation", "object"' in read_facts(file(lines, "a.jsonl")).notes[0]
    )
    wide = file('{"land": "Alda", "capital": "Albu"}\n{"land": "Bruna", "capital": "Brick"}\n', "w.jsonl")
    assert named(read_facts(wide, wide=True)) == CAPITALS
    assert "holds text" in refusal(
        file("".join(json.dumps(row | {"source": "web"}) + "\n" for row in rows), "d.jsonl")
    )


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ('{"s": "a"\n', "a.jsonl", "Line 1 of"),
        ("[1, 2]\n{}\n", "a.jsonl", "another shape"),
        ("3\n", "a.jsonl", "neither an object nor a list"),
        ('["a", "r", ["b"]]\n', "a.jsonl", "a list or an object where a label is expected"),
        ('["a", "r", null]\n', "a.jsonl", "empty"),
        ('["a", "r", NaN]\n', "a.jsonl", "not valid JSON"),
        ('{"nodes": []}', "a.json", "is not a list in JSON"),
        ("[]", "a.json", "has no fact"),
        ("[" * 100_000, "a.json", "not valid JSON"),
        ('["a", "r"]\n', "a.jsonl", "column"),
        (
            "@prefix x: <http://x.org/> .\nx:a x:b x:c .\n",
            "a.ttl",
            "is Turtle, which is not read; convert it",
        ),
        ("@prefix x: <http://x.org/> .\nx:a x:b x:c .\n", "a.txt", "is Turtle"),
        ("<rdf:RDF/>", "a.rdf", "rdflib"),
    ],
)
def test_json_and_rdf_that_are_not_read(file, text, name, message):
    assert message in refusal(file(text, name))


def test_options_without_meaning_are_refused(file):
    path = file('["a", "r", "b"]\n', "a.jsonl")
    assert "separator has no meaning" in refusal(path, separator="tab")
    assert "has no column 'x'" in refusal(file("a\tr\tb\n"), columns="x,2,3")
    assert "name 3" in refusal(file("a\tr\tb\n"), columns="1,2")


# All dialects.

LABELS = (
    st.text("abcdeé ,;'", min_size=1, max_size=5)
    .map(str.strip)
    .filter(lambda label: label and label[0] != "'")
)
FACTS = st.dictionaries(
    st.tuples(LABELS, st.sampled_from(["knows", "is in", "boss of"])), LABELS, min_size=1, max_size=9
).map(lambda facts: [(*question, answer) for question, answer in facts.items()])
HEADERS = [None, ("subject", "relation", "object"), ("h", "r", "t"), ("item", "property", "value")]


@SHARED
@given(
    facts=FACTS,
    delimiter=st.sampled_from(["tab", "comma", "semicolon", "pipe"]),
    header=st.sampled_from([*HEADERS, ("who", "what", "whom")]),
    order=st.permutations(range(3)),
    comment=st.booleans(),
    weight=st.booleans(),
    packed=st.booleans(),
)
def test_every_dialect_is_read_as_meant_or_refused(
    tmp_path, facts, delimiter, header, order, comment, weight, packed
):
    mark = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}[delimiter]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=mark, lineterminator="\n")
    for number, row in enumerate([header, *facts] if header else facts):
        extra = ["weight" if row is header else f"{number}.5"] if weight else []
        writer.writerow([*(row[part] for part in order), *extra])
    content = (("# facts of ours\n" if comment else "") + text.getvalue()).encode()
    path = tmp_path / ("facts.txt.gz" if packed else "facts.txt")
    path.write_bytes(gzip.compress(content) if packed else content)
    places = ",".join(str(order.index(part) + 1) for part in range(3))
    told = read_facts(path, columns=places, separator=delimiter, header=header is not None, comment="#")
    assert sorted(named(told)) == sorted(facts)
    guessable = header in HEADERS[1:] or (header is None and list(order) == [0, 1, 2])
    try:
        table = read_facts(path)
    except InputError:
        return
    if guessable:
        assert sorted(named(table)) == sorted(facts)
    else:  # what was understood is said, with a fact of it
        first = named(table)[0]
        assert table.notes[0].startswith(f"{table.subject_count:,} subject")
        assert "; first: " in table.notes[0]
        assert first[1] in table.relations


@SHARED
@given(FACTS, st.sampled_from(["jsonl", "json", "nt"]))
def test_every_format_is_read_as_meant(tmp_path, facts, kind):
    path = tmp_path / f"facts.{kind}"
    if kind == "nt":
        lines = [
            " ".join(f"<http://x.org/{part.encode().hex()}>" for part in (s, r)) + f" {json.dumps(o)} .\n"
            for s, r, o in facts
        ]
        path.write_text("".join(lines), encoding="utf-8")
        expected = {(s.encode().hex(), r.encode().hex(), o) for s, r, o in facts}
        found = {(s.rpartition("/")[2], r, o) for s, r, o in named(read_facts(path))}
        assert found == expected
        return
    rows = [dict(zip(("s", "p", "o"), fact, strict=True)) for fact in facts]
    text = "".join(json.dumps(row) + "\n" for row in rows) if kind == "jsonl" else json.dumps(rows)
    path.write_text(text, encoding="utf-8")
    assert sorted(named(read_facts(path))) == sorted(facts)


@SHARED
@given(facts=FACTS, delimiter=st.sampled_from([",", ";", "\t"]))
def test_every_wide_table_is_read_as_meant(tmp_path, facts, delimiter):
    frame = pandas.DataFrame(facts, columns=["who", "what", "whom"]).pivot(
        index="who", columns="what", values="whom"
    )
    path = tmp_path / "wide.csv"
    path.write_text(frame.to_csv(sep=delimiter), encoding="utf-8")
    assert sorted(named(read_facts(path, wide=True))) == sorted(facts)
    assert sorted(named(facts_from(frame.reset_index(), wide=True))) == sorted(facts)


def test_the_command_line_says_what_it_understood(file, tmp_path, capsys):
    path = file(WIDE, "wide.csv")
    out = str(tmp_path / "memory")
    assert main(["construct", str(path), "--out", out]) == 2
    assert "can be read in two ways" in capsys.readouterr().err
    assert main(["construct", str(path), "--out", out, "--wide", "--relation", "capital"]) == 0
    said = capsys.readouterr()
    assert "first: Alda –capital→ Albu" in said.err
    assert main(["ask", out, "Corra", "capital"]) == 0
    assert capsys.readouterr().out == "Corv\n"
    assert main(["construct", str(file(RELATION_FIRST)), "--out", out + "2", "--columns", "2,1,3"]) == 0
    capsys.readouterr()
    assert main(["construct", "countries", "--out", out + "3", "--wide"]) == 2
    assert "--wide is about files, and 'countries' is a built-in world" in capsys.readouterr().err
    assert main(["construct", "europe", "--out", out + "3"]) == 2
    assert "'europe' is a graph" in capsys.readouterr().err
