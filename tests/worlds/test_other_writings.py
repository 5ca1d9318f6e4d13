"""One graph and one table of facts in the ways that tools write them: read, or refused with a way out."""

import io
import json

import networkx
import pytest

from geomem.errors import InputError
from geomem.worlds.facts.reader import read_facts
from geomem.worlds.graphs.readers import read_graph

PAIRS = [("Rome", "Paris"), ("Paris", "Bonn"), ("Bonn", "Prague"), ("Prague", "Rome"), ("Paris", "Bern")]
EDGES = sorted(map(sorted, PAIRS))
FACTS = [
    ("Italy", "capital", "Rome"),
    ("Italy", "currency", "euro"),
    ("Japan", "capital", "Tokyo"),
    ("Japan", "currency", "yen"),
    ("Peru", "capital", "Lima"),
    ("Chile", "capital", "Santiago"),
]


def lines(pattern: str) -> str:
    return "".join(
        pattern.format(tail=tail, head=head, row=row) + "\n" for row, (tail, head) in enumerate(PAIRS, 1)
    )


def in_one_graph(nodes: str) -> str:
    return f'<graphml><graph edgedefault="undirected">{nodes}</graph></graphml>'


def multiline(graph, delimiter: str = " ") -> str:
    text = io.BytesIO()
    networkx.write_multiline_adjlist(graph, text, delimiter=delimiter)
    return text.getvalue().decode()


# name: text that holds the graph of PAIRS
SAME = {
    "r_table.txt": '"from" "to"\n' + lines('"{row}" "{tail}" "{head}"'),
    "r_weights.tsv": "from\tto\tkm\n" + lines("{row}\t{tail}\t{head}\t{row}"),
    "markdown.md": "| from | to |\n|------|:--:|\n" + lines("| {tail} | {head} |"),
    "psql.txt": " from | to \n------+------\n" + lines(" {tail} | {head}"),
    "excel.csv": "sep=;\nsource;target\n" + lines("{tail};{head}"),
    "ends.txt": lines("{tail} {head};"),
    "empty_last.csv": "source,target,\n" + lines("{tail},{head},"),
    "tuples.txt": lines("({tail}, {head}),"),
    "colon.txt": lines("{tail}: {head}"),
    "en_dash.txt": lines("{tail} \u2013 {head}"),
    "remarks.txt": "; towns\n-- and roads\n" + lines("{tail} {head}"),
    "counted.csv": "0,1\n" + lines("{tail},{head}"),
    "invisible.csv": lines("{tail}\u200b,{head}"),
    "colon.adjlist": "Rome: Paris, Prague\nParis: Bonn, Bern\nBonn: Prague\n",
    "multi.adjlist": multiline(networkx.Graph(PAIRS)),
    "multi.txt": multiline(networkx.Graph(PAIRS)),
    "multi_tabs.adjlist": multiline(networkx.Graph(PAIRS), "\t"),
    "header.sif": "source\tinteraction\ttarget\n" + lines("{tail}\troad\t{head}"),
    "quads.nq": lines("<http://x.org/{tail}> <http://x.org/road> <http://x.org/{head}> <http://g.org> ."),
    "triples.txt": lines("<http://x.org/{tail}> <http://x.org/road> <http://x.org/{head}> ."),
    "tgf.txt": "1 Rome\n2 Paris\n3 Bonn\n4 Prague\n5 Bern\n#\n1 2\n2 3\n3 4\n4 1\n2 5\n",
    "columns.json": json.dumps({"source": [a for a, _ in PAIRS], "target": [b for _, b in PAIRS]}),
    "links.json": json.dumps({"links": [{"source": a, "target": b} for a, b in PAIRS]}),
    "objects.jsonl": lines('{{"source": {{"id": "{tail}"}}, "target": {{"id": "{head}"}}}}'),
    "keys.json": json.dumps(
        {
            "nodes": [
                {"key": str(place), "attributes": {"label": name}}
                for place, name in enumerate(["Rome", "Paris", "Bonn", "Prague", "Bern"])
            ],
            "edges": [{"source": a, "target": b} for a, b in ["01", "12", "23", "30", "14"]],
        }
    ),
    "two_modes.net": '*Vertices 5 2\n1 "Rome"\n2 "Bonn"\n3 "Paris"\n4 "Prague"\n5 "Bern"\n'
    "*Matrix\n1 1 0\n1 1 0\n*Edges\n3 5\n",
}

# name: (text, what is said)
REFUSED = {
    "several.csv": (
        'country,borders\nItaly,"France, Austria"\nSpain,"Portugal, Andorra"\n',
        "say --columns 1,2",
    ),
    "brackets.csv": ("node,neighbors\nA,\"['B', 'C']\"\nB,\"['D', 'E']\"\n", "several labels in one cell"),
    "dots.txt": (lines("{tail} {head}."), "'.' behind the label 'Paris.'"),
    "remark.csv": ("Rome,Paris\nParis,Bonn # old\nBonn,Rome\n", "may have a remark behind a label"),
    "sizes.txt": ("4 3\n0 1\n1 2\n2 3\n", "may give the numbers of nodes and edges (4 3)"),
    "sizes_alone.txt": ("9 3\n0 1\n1 2\n2 3\n", "may give the numbers of nodes and edges (9 3)"),
    "sizes.mtx.txt": ("4 4 3\n1 2 1\n2 3 1\n3 4 1\n", "may give the numbers of nodes and edges (4 4 3)"),
    "title.csv": ("Roads,2020\nsource,target\n" + lines("{tail},{head}"), "names its columns below"),
    "words.txt": ("New Rome Old Paris\nNew Bonn Old Bern\nNew Rome Old Bern\n", "as in --columns 1,3"),
    "glued.txt": (lines("{tail} -> {head} 3"), "(--separator '->') and by blank"),
    "listed.txt": ("a: b, c\nb: c, d\nd: e, a\n", "name it .adjlist"),
    "listed_blanks.txt": ("a: b c\nb: c d e\nd: e a\n", "name it .adjlist"),
    "star.txt": ("0 1 5\n0 2 3\n0 3 1\n0 4 2\n", "as column 1 holds one number"),
    "star_to.txt": ("1 0 5\n2 0 3\n3 0 1\n4 0 2\n", "as column 2 holds one number"),
    "times.txt": ("1082 1 2\n1085 2 3\n1090 3 1\n1092 3 4\n", "(say --columns 2,3)"),
    "wide.txt": ("0 1 2 3 4 5\n1 2 3 4 5 0\n", "as in --columns 1,3"),
    "nested.graphml": (
        in_one_graph('<node id="a"/><node id="g"><graph><node id="x"/></graph></node>'),
        "holds several graphs",
    ),
    "listed.jsonl": (
        '{"node": "a", "neighbors": ["b", "c"]}\n{"node": "b", "neighbors": ["c"]}\n',
        "lists several ends",
    ),
    "neighbours.json": ("[[1, 2], [0, 2], [0, 1]]", "two neighbours of every node"),
    "tree.yaml": ("Rome: [Paris, Bern]\nParis: [Bonn]\n", "is YAML, which is not read"),
    "turtle.txt": ("@prefix : <http://x.org/> .\n:A :near :B .\n:B :near :C .\n", "is Turtle"),
}

# name: (text, edges, what is said)
SAID = {
    "capitals.csv": ("Rome,Bonn\nrome,Bern\n", 2, "Rome and rome are two nodes: capitals count."),
    "missing.csv": ("source,target\nRome,Bonn\nnull,Bonn\n", 2, "'null' is a node, on 1 line"),
    "kinds.csv": ("user_id,item_id\n1,7\n2,1\n2,7\n", 3, "give labels of their own"),
    "weights.csv": ("a,w,b\n1,0.5,2\n2,0.25,3\n3,0.75,1\n", 3, "columns 1 and 3"),
    "long_path.txt": ("1 2 10\n2 3 20\n3 4 30\n", 3, "columns 1 and 2"),
    "hollow.txt": ("0 2 0\n0 0 3\n0 0 0\n", 2, "a matrix of 3 rows"),
    "flags.csv": ("source,target,directed\nA,B,True\nB,C,False\n", 2, 'Column "directed"'),
    "mark.txt": ("Rome & Paris\nParis & Bonn\n", 2, "columns 1 and 3"),
}


def written(folder, name, text):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def refusal(read, path, **options):
    with pytest.raises(InputError) as error:
        read(path, **options)
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


@pytest.mark.parametrize("name", SAME)
def test_one_graph_in_many_writings(tmp_path, name):
    graph = read_graph(written(tmp_path, name, SAME[name]))
    assert sorted(sorted((graph.labels[a], graph.labels[b])) for a, b in graph.edges.tolist()) == EDGES


def test_a_multi_line_list_whose_nodes_have_blanks(tmp_path):
    grid = networkx.grid_2d_graph(3, 2)
    graph = read_graph(written(tmp_path, "grid.adjlist", multiline(grid)))
    found = sorted(sorted((graph.labels[a], graph.labels[b])) for a, b in graph.edges.tolist())
    assert found == sorted(sorted(map(str, edge)) for edge in grid.edges)


@pytest.mark.parametrize("name", REFUSED)
def test_what_may_be_another_graph_is_refused(tmp_path, name):
    text, said = REFUSED[name]
    assert said in refusal(read_graph, written(tmp_path, name, text))


@pytest.mark.parametrize("name", SAID)
def test_what_is_decided_is_said(tmp_path, name):
    text, edges, said = SAID[name]
    graph = read_graph(written(tmp_path, name, text))
    assert graph.edge_count == edges
    assert said in " ".join(graph.notes)


def test_the_ways_out_that_a_refusal_names(tmp_path):
    several = written(tmp_path, "several.csv", REFUSED["several.csv"][0])
    assert read_graph(several, columns="1,2").labels[1] == "France, Austria"
    sizes = written(tmp_path, "sizes.txt", REFUSED["sizes.txt"][0])
    assert read_graph(sizes, columns="1,2").edge_count == 4
    title = written(tmp_path, "title.csv", REFUSED["title.csv"][0])
    assert read_graph(title, header=False).edge_count == 7
    listed = written(tmp_path, "listed.adjlist", REFUSED["listed.txt"][0])
    assert read_graph(listed).edge_count == 6


def fact_lines(pattern: str) -> str:
    return "".join(pattern.format(s=s, r=r, o=o, row=row) + "\n" for row, (s, r, o) in enumerate(FACTS, 1))


@pytest.mark.parametrize(
    ("name", "text", "wide"),
    [
        ("r_table.txt", '"head" "relation" "tail"\n' + fact_lines('"{row}" "{s}" "{r}" "{o}"'), False),
        (
            "markdown.md",
            "| subject | relation | object |\n|---|---|---|\n" + fact_lines("| {s} | {r} | {o} |"),
            False,
        ),
        ("excel.csv", "sep=;\nsubject;relation;object\n" + fact_lines("{s};{r};{o}"), False),
        ("neo4j.csv", ":START_ID,:TYPE,:END_ID\n" + fact_lines("{s},{r},{o}"), False),
        ("sif.tsv", "source\tinteraction\ttarget\n" + fact_lines("{s}\t{r}\t{o}"), False),
        ("last.csv", fact_lines("{s},{r},{o},"), False),
        ("tuples.txt", fact_lines("({s}, {r}, {o})"), False),
        (
            "index.csv",
            "index,country,capital,currency\n0,Italy,Rome,euro\n1,Japan,Tokyo,yen\n2,Peru,Lima,\n3,Chile,Santiago,\n",
            True,
        ),
    ],
)
def test_one_table_in_many_writings(tmp_path, name, text, wide):
    table = read_facts(written(tmp_path, name, text), wide=wide)
    found = [(table.subjects[s], table.relations[r], table.objects[o]) for s, r, o in table.facts.tolist()]
    assert sorted(found) == sorted(FACTS)


def test_triples_whose_last_column_names_the_relation_are_refused(tmp_path):
    said = refusal(read_facts, written(tmp_path, "last.tsv", fact_lines("{s}\t{o}\t{r}")))
    assert "(--columns 1,2,3)" in said
    assert "(--columns 1,3,2)" in said


def test_a_number_before_triples_is_named(tmp_path):
    said = refusal(read_facts, written(tmp_path, "sure.tsv", fact_lines("0.{row}\t{s}\t{r}\t{o}")))
    assert "--columns 2,3,4" in said


def test_numbers_on_both_sides_of_triples_are_asked_for(tmp_path):
    file = written(tmp_path, "both.tsv", "0\tlikes\t5\t0.5\n1\tlikes\t6\t0.25\n")
    said = refusal(read_facts, file)
    assert "0 \u2013likes\u2192 5 (--columns 1,2,3)" in said
    assert "likes \u20135\u2192 0.5 (--columns 2,3,4)" in said
    assert read_facts(file, columns="1,2,3").relations == ("likes",)


def test_a_relation_that_is_a_mark_is_kept(tmp_path):
    table = read_facts(written(tmp_path, "marks.tsv", "a\t=\tb\t0.5\nc\t=\td\t0.25\n"))
    assert table.relations == ("=",)


def test_an_object_called_as_missing_values_are_is_said(tmp_path):
    table = read_facts(written(tmp_path, "nan.csv", "s,p,o\nItaly,capital,Rome\nPeru,capital,NaN\n"))
    assert "'NaN' is an object, on 1 line" in " ".join(table.notes)
