"""Files of the kinds that people have: each is read as it is meant, which its first note says, or refused."""

import gzip

import pytest

from geomem.errors import InputError
from geomem.worlds.graphs.readers import graph_from, read_graph
from geomem.worlds.tasks import EdgeMemorization, directed_facts

GEXF = """<?xml version="1.0" encoding="UTF-8"?>
<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2">
  <graph defaultedgetype="undirected">
    <nodes><node id="0" label="Ada"/><node id="1" label="Ben"/></nodes>
    <edges><edge id="0" source="0" target="1"/></edges>
  </graph>
</gexf>
"""
TWICE = """graph [ directed 0
  node [ id 0 label "Ada" ] node [ id 1 label "Ben" ] node [ id 2 label "Cleo" ]
  edge [ source 0 target 1 ] edge [ source 1 target 2 ] edge [ source 0 target 1 ]
]
"""
YED = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:y="http://www.yworks.com/xml/graphml">
  <key for="node" id="d6" yfiles.type="nodegraphics"/>
  <key for="edge" id="d10" yfiles.type="edgegraphics"/>
  <graph edgedefault="directed" id="G">
    <node id="n0"><data key="d6"><y:ShapeNode><y:NodeLabel>Ada</y:NodeLabel></y:ShapeNode></data></node>
    <node id="n1"><data key="d6"><y:ShapeNode><y:NodeLabel>Ben</y:NodeLabel></y:ShapeNode></data></node>
    <edge id="e0" source="n0" target="n1"/>
  </graph>
</graphml>
"""
IGRAPH = """Creator "igraph version 0.10.8 Mon Jan 1 00:00:00 2024"
Version 1
graph
[
  directed 0
  node [ id 0 name "Ada" ]
  node [ id 1 name "Ben" ]
  edge [ source 1 target 0 ]
]
"""

# name: (text, edges in order, what the notes say)
READ = {
    "code_name.csv": (
        '"region_code","region_name","border_code","border_name"\n"AA","Alda","BB","Bruna"\n'
        '"AA","Alda","CC","Corra"\n"BB","Bruna","CC","Corra"\n"CC","Corra","DD","Dorn"\n',
        "AA-BB AA-CC BB-CC CC-DD",
        'columns 1 and 3 ("region_code", "border_code")',
    ),
    "index_first.csv": (
        "0,Ada,Ben\n1,Ben,Cleo\n2,Cleo,Ada\n",
        "Ada-Ben Ben-Cleo Cleo-Ada",
        "columns 2 and 3",
    ),
    "header_words.csv": (
        "StateCode,NeighborStateCode\nAA,BB\nBB,CC\nCC,AA\n",
        "AA-BB BB-CC CC-AA",
        '("StateCode", "NeighborStateCode"), separator comma, header yes',
    ),
    "unknown_words.csv": (
        "Place,Beside\nAA,BB\nBB,CC\nCC,AA\n",
        "Place-Beside AA-BB BB-CC CC-AA",
        "no header found (--header if the first line is one)",
    ),
    "hashtags.csv": (
        "Source,Target\n#alpha,#beta\n#beta,#gamma\nuser1,#alpha\nuser2,#beta\nuser1,user2\n",
        "#alpha-#beta #beta-#gamma user1-#alpha user2-#beta user1-user2",
        "lines like #alpha,#beta read as data",
    ),
    "hashtags_only.csv": (
        "Source,Target\n#alpha,#beta\n#beta,#gamma\n#gamma,#alpha\n",
        "#alpha-#beta #beta-#gamma #gamma-#alpha",
        "header yes",
    ),
    "net.sif": (
        "G1 pp G2\nG2 pp G3\nG3 pd G4\nG4 pd G1\n",
        "G1-G2 G2-G3 G3-G4 G4-G1",
        "2 relations (pp, pd); --relation NAME reads one",
    ),
    "hub.sif": ("A\tx y\tB\tC\nD\n", "A-B A-C", "4 nodes, 2 edges from SIF, 1 relation (x y)"),
    "arrow.txt": ("Ada -> Ben\nBen -> Cleo\nCleo -> Ada\n", "Ada-Ben Ben-Cleo Cleo-Ada", "separator ->"),
    "arrow_in_tabs.tsv": ("Ada\t->\tBen\nBen\t->\tCleo\n", "Ada-Ben Ben-Cleo", "separator tab"),
    "arrow_of_names.txt": (
        "New York => Los Angeles\nLos Angeles => Rome\n",
        "New York-Los Angeles Los Angeles-Rome",
        "separator =>",
    ),
    "equals.txt": ("0=3\n3=2\n2=1\n1=0\n", "0-3 3-2 2-1 1-0", "separator ="),
    "two_attributes.edgelist": (
        "Ann Bob {'weight': 1, 'kind': 'friend'}\nBob Cid {'weight': 2, 'kind': 'friend'}\n"
        "Cid Ann {'weight': 3, 'kind': 'friend'}\n",
        "Ann-Bob Bob-Cid Cid-Ann",
        "separator blank",
    ),
    "tuples.edgelist": (
        "(0, 0) (0, 1)\n(0, 0) (1, 0)\n(0, 1) (1, 1)\n(1, 0) (1, 1)\n",
        "(0, 0)-(0, 1) (0, 0)-(1, 0) (0, 1)-(1, 1) (1, 0)-(1, 1)",
        "separator blank",
    ),
    "decimal_comma.csv": (
        "Berlin;Paris;0,5\nParis;Rome;1,25\nRome;Berlin;0,75\n",
        "Berlin-Paris Paris-Rome Rome-Berlin",
        "separator semicolon",
    ),
    "float_ids.csv": (
        "source,target\n1,2.0\n2,3.0\n3,4.0\n4,1.0\n",
        "1-2 2-3 3-4 4-1",
        "4 ids are written in another way than whole numbers are, as 2.0 for 2",
    ),
    "star.adjlist": ("1 2 3 4\n2 1 3\n3 1 2\n4 1\n", "1-2 1-3 1-4 2-3", "from a list of neighbours"),
    "right.graph": ("4 4\n2 3 4\n1 3\n1 2\n1\n", "1-2 1-3 1-4 2-3", "from METIS"),
    "matrix.txt": ("0 1 1 0\n1 0 1 0\n1 1 0 1\n0 0 1 0\n", "0-1 0-2 1-2 2-3", "a matrix of 4 rows"),
    "named_matrix.csv": (",A,B,C\nA,0,2,1\nB,2,0,0\nC,1,0,0\n", "A-B A-C", "a matrix of 3 rows"),
    "header_matrix.csv": ("A,B,C\n0,1,1\n1,0,0\n1,0,0\n", "A-B A-C", "a matrix of 3 rows"),
    "frame_of_three.csv": (",source,target\n0,0,1\n1,0,2\n2,3,0\n", "0-1 0-2 3-0", '("source", "target")'),
    "weights_of_three.csv": ("source,target,km\n0,1,2\n1,0,3\n2,3,0\n", "0-1 2-3", '("source", "target")'),
    "numbered_matrix.csv": (",0,1,2\n0,0,2,1\n1,2,0,0\n2,1,0,0\n", "0-1 0-2", "a matrix of 3 rows"),
    "graph.tgf": ("1 Ada\n2 Ben\n3 Cleo\n#\n1 2 knows\n2 3 knows\n", "Ada-Ben Ben-Cleo", "from TGF"),
    "arcs.net": (
        '*Vertices 3\n1 "Ada"\n2 "Ben"\n3 "Cleo"\n*Arcs :1 "knows"\n1 2 1\n2 3 1\n',
        "Ada-Ben Ben-Cleo",
        "from Pajek",
    ),
    "tiny.gexf": (GEXF, "Ada-Ben", "from GEXF"),
    "gexf_by_its_words.xml": (GEXF, "Ada-Ben", "from GEXF"),
    "twice.gml": (TWICE, "Ada-Ben Ben-Cleo", "1 repeated edge was merged"),
    "yed.graphml": (YED, "Ada-Ben", "from GraphML"),
    "igraph.gml": (IGRAPH, "Ada-Ben", "from GML"),
    "three.nt": (
        "<http://x.org/Alda> <http://x.org/capital> <http://x.org/Albu> .\n"
        '<http://x.org/Alda> <http://x.org/name> "Alda . <b>"@en .\n',
        "Alda-Albu",
        "1 statements about a text or number were left out",
    ),
    "same_ends.nt": (
        "<http://x.org/a> <http://x.org/r> <http://y.org/a> .\n",
        "http://x.org/a-http://y.org/a",
        "whole IRI",
    ),
    "facts.jsonl": (
        '{"source": 1, "target": "b"}\n{"target": "c", "source": "b", "w": 2}\n',
        "1-b b-c",
        "JSON",
    ),
    "nodes_links.json": (
        '{"nodes": [{"id": 7, "label": "Ada"}, {"id": 8, "label": "Ben"}], '
        '"links": [{"source": 8, "target": 7}]}',
        "Ben-Ada",
        "node-link JSON",
    ),
    "places.json": (
        '{"nodes": [{"name": "Ada"}, {"name": "Ben"}], "links": [{"source": 0, "target": 1}]}',
        "Ada-Ben",
        "JSON",
    ),
    "cytoscape.json": (
        '{"elements": {"nodes": [{"data": {"id": "a"}}, {"data": {"id": "b"}}], '
        '"edges": [{"data": {"source": "a", "target": "b"}}]}}',
        "a-b",
        "JSON",
    ),
    "symmetric.mtx": (
        "%%MatrixMarket matrix coordinate real symmetric\n% c\n3 3 2\n2 1 1.5\n3 2 1\n",
        "2-1 3-2",
        "from Matrix Market",
    ),
    # What geomem read rightly before
    "snap.txt": (
        "# Directed graph: a.txt\n# Nodes: 3 Edges: 2\n# FromNodeId\tToNodeId\n0\t1\n1\t2\n",
        "0-1 1-2",
        "3 comment lines (the first: # Directed graph: a.txt)",
    ),
    "out.konect": ("% sym unweighted\n% 2 3 3\n1 2 \n2 3 \n", "1-2 2-3", "2 comment lines"),
    "gephi.csv": (
        "Source,Target,Type,Id,Label,Weight\n1,2,Undirected,0,,1.0\n2,3,Undirected,1,road,2.0\n",
        "1-2 2-3",
        'Columns "Type", "Id", "Label", "Weight"',
    ),
    "pandas.csv": (",source,target\n0,Ada,Ben\n1,Ben,Cleo\n", "Ada-Ben Ben-Cleo", "columns 2 and 3"),
    "pandas_unknown.csv": (",a,b\n0,Ada,Ben\n1,Ben,Cleo\n", "Ada-Ben Ben-Cleo", "header yes"),
    "string.tsv": ("#node1\tnode2\tscore\nA\tB\t900\nB\tC\t800\n", "A-B B-C", "1 comment line (#node1"),
    "weights_first.txt": ("0.5 1 2\n0.25 2 3\n", "1-2 2-3", "columns 2 and 3"),
    "arrow_back.txt": ("Ben <- Ada\nCleo <- Ben\n", "Ada-Ben Ben-Cleo", "columns 1 and 2"),
    "dates.csv": ("source,target,date\nA,B,2020-01-01\nB,C,2020-02-01\n", "A-B B-C", "was left out"),
}

# name: (text, what the refusal says)
REFUSED = {
    "missing.csv": ("source,target\n1.0,2.0\n2.0,nan\n", "Line 3 of"),
    "lists.csv": ('name,neighbours\nA,"B, C"\nB,A\n', "several labels in one cell (B, C)"),
    "bipartite.tsv": ("% bip\n1\t2\n1\t3\n", "bipartite"),
    "edges.net": ("1 2\n2 3\n", "no line *Vertices"),
    "nodes.csv": ("Id,Label\nada-l,Ada L\nben-k,Ben K\n", "is a table of nodes"),
    "numbered.csv": ("1,Ada\n2,Ben\n3,Cleo\n", "is a table of nodes"),
    "four.csv": ("AA,Alda,BB,Bruna\nBB,Bruna,CC,Corra\n", "name them, as in --columns 1,3"),
    "triples.tsv": (
        "Alda\tborders\tBruna\nBruna\tborders\tCorra\nCorra\tmember of\tUnion\n",
        "--relation NAME for the edges of one, --relation all",
    ),
    "named_triples.csv": ("source,relation,target\nA,likes,B\nB,knows,C\n", 'column "relation"'),
    "kinds.csv": (
        "from,to,airline\nJFK,LHR,BA\nLHR,CDG,AF\nCDG,JFK,AF\n",
        "say --columns 1,2 to leave it out",
    ),
    "numbered_edges.csv": (
        "0,5,7\n1,7,9\n2,9,5\n",
        "(say --columns 2,3) or columns 1 and 2 (say --columns 1,2), as column 1 counts the lines",
    ),
    "numbered_apart.txt": ("0|29|6|0,25\n1|13|12|1,25\n2|11|10|2,25\n", "(say --columns 2,3)"),
    "numbered_three.txt": ("0 0 1\n1 0 2\n2 3 0\n", "(say --columns 2,3)"),
    "ragged.csv": ("source,target,weight\nAda,Ben,1\nLee, Ann,Ada,2\nBen,Cleo,3\n", "Line 3 of"),
    "comma_object.csv": ("subject,relation,object\nAlda,capital,Albu, North\nBruna,capital,B\n", "Line 2 of"),
    "two_ways.txt": ("a,b;c\nd,e;f\n", "(--separator comma) and by semicolon"),
    "glued.txt": ("a->b 3\nb->c 4\n", "(--separator '->') and by blank"),
    "hash_first.tsv": ("#a\t#b\n#b\t#c\nuser1\t#a\n", "--comment none"),
    "hash_users.tsv": ("#a\tuser1\n#b\tuser2\nuser1\tuser2\n", "--comment none"),
    "hash_all.txt": ("#a #b\n#b #c\n", "--comment none"),
    "metis.graph": ("4 4\n2 3\n1 3\n1 2 4\n3 1\n", "is not METIS"),
    "ring.txt": ("3 3\n2 3\n1 3\n1 2\n", "can be METIS"),
    "star.txt": ("1 2 3 4\n2 1 3\n3 1 2\n4 1\n", "name it .adjlist"),
    "graph.dot": ("digraph { a -> b }", "is DOT, which is not read"),
    "dot.txt": ("digraph G {\n a -> b;\n}\n", "is DOT, which is not read"),
    "graph.gdf": ("nodedef>name VARCHAR\na\nedgedef>node1,node2\na,b\n", "is GDF"),
    "short.net": ("*Vertices 2\n*Edges\n1 3\n", "Line 3 of"),
    "wide.mtx": ("%%MatrixMarket matrix coordinate real general\n2 3 1\n1 2 1\n", "give a square one"),
    "long.mtx": ("%%MatrixMarket matrix coordinate real general\n9 9 999999999\n1 2 1\n", "fewer entries"),
    "bad.nt": ("Ada borders Ben\n", "Line 1 of"),
    "bad.tgf": ("1 Ada\n#\n1 2\n", "Line 3 of"),
    "bad.sif": ("a pp\n", "Line 1 of"),
    "bad.jsonl": ('{"source": 1, "target": 2}\n[1, 2]\n', "Line 2 of"),
    "bad.json": ('{"a": 1}', "a form that is not read"),
    "deep.json": ("[" * 100_000, "is not JSON"),
}


def edges_of(graph):
    return " ".join(f"{graph.labels[tail]}-{graph.labels[head]}" for tail, head in graph.edges.tolist())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", READ)
def test_read(tmp_path, name, packed):
    text, edges, said = READ[name]
    path = tmp_path / (name + ".gz" if packed else name)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    graph = read_graph(path)
    assert edges_of(graph) == edges
    first = " – ".join(graph.labels[end] for end in graph.edges[0])
    assert graph.notes[0].startswith(f"{graph.node_count} nodes, {graph.edge_count} edge")
    assert graph.notes[0].endswith(f"; first edge {first}")
    assert said in " ".join(graph.notes)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path, name):
    text, said = REFUSED[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as error:
        read_graph(tmp_path / name)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "options", "edges"),
    [
        ("nodes.csv", {"columns": "1,2", "header": True}, "ada-l-Ada L ben-k-Ben K"),
        ("four.csv", {"columns": (1, 3)}, "AA-BB BB-CC"),
        ("triples.tsv", {"relation": "borders"}, "Alda-Bruna Bruna-Corra"),
        ("triples.tsv", {"relation": "all"}, "Alda-Bruna Bruna-Corra Corra-Union"),
        ("triples.tsv", {"columns": "1,3"}, "Alda-Bruna Bruna-Corra Corra-Union"),
        ("named_triples.csv", {"relation": "knows"}, "B-C"),
        ("kinds.csv", {"columns": "to,from"}, "LHR-JFK CDG-LHR JFK-CDG"),
        ("kinds.csv", {"relation": "AF"}, "LHR-CDG CDG-JFK"),
        ("numbered_edges.csv", {"columns": "2,3"}, "5-7 7-9 9-5"),
        ("two_ways.txt", {"separator": "semicolon"}, "a,b-c d,e-f"),
        ("two_ways.txt", {"separator": ","}, "a-b;c d-e;f"),
        ("glued.txt", {"separator": "blank", "columns": "1,2"}, "a->b-3 b->c-4"),
        ("hash_first.tsv", {"comment": "none"}, "#a-#b #b-#c user1-#a"),
        ("hash_users.tsv", {"comment": "#"}, "user1-user2"),
        ("ring.txt", {"separator": "blank"}, "2-3 1-3 1-2"),
        ("metis.graph", {"separator": "blank", "columns": "1,2"}, None),
    ],
)
def test_what_a_person_says_decides(tmp_path, name, options, edges):
    (tmp_path / name).write_text(REFUSED[name][0])
    if edges is None:
        with pytest.raises(InputError, match="Line 4 of"):
            read_graph(tmp_path / name, **options)
        return
    assert edges_of(read_graph(tmp_path / name, **options)) == edges


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("triples.tsv", {"relation": "border"}, "did you mean borders?"),
        ("triples.tsv", {"columns": "1,4"}, "has no column '4'"),
        ("triples.tsv", {"columns": "1,1"}, "twice"),
        ("triples.tsv", {"columns": "1"}, "name 2, as in --columns 1,2"),
        ("named_triples.csv", {"columns": "sources,target"}, "did you mean source?"),
        ("triples.tsv", {"separator": "words"}, "is not one of tab"),
        ("triples.tsv", {"relation": "borders", "root": "Brunna"}, "did you mean Bruna?"),
        ("bad.sif", {"header": True}, "only a header"),
    ],
)
def test_what_a_person_says_wrongly(tmp_path, name, options, said):
    (tmp_path / name).write_text(REFUSED[name][0])
    with pytest.raises(InputError) as error:
        read_graph(tmp_path / name, **options)
    assert said in str(error.value)


def test_formats_have_no_columns(tmp_path):
    (tmp_path / "twice.gml").write_text(TWICE)
    for options in ({"header": True}, {"relation": "knows"}):
        with pytest.raises(InputError):
            read_graph(tmp_path / "twice.gml", **options)


def test_directions_are_kept(tmp_path):
    path = tmp_path / "mutual.tsv"
    path.write_text("Ada\tBen\nBen\tAda\nBen\tCleo\nCleo\tDan\nDan\tCleo\nDan\tAda\n")
    graph = read_graph(path)
    assert graph.mutual.tolist() == [0, 2]
    named = {
        asked: {(graph.labels[a], graph.labels[b]) for a, b in directed_facts(graph, EdgeMemorization(asked))}
        for asked in ("forward", "reverse", "both")
    }
    lines = {tuple(line.split("\t")) for line in path.read_text().splitlines()}
    assert named["forward"] == lines
    assert named["reverse"] == {(head, tail) for tail, head in lines}
    assert named["both"] == named["forward"] | named["reverse"]


def test_igraph_and_frames_of_floats():
    class Vertices(dict):
        def attributes(self):
            return list(self)

    class Igraph:
        vs = Vertices(name=["Ada", "Ben"])

        def get_edgelist(self):
            return [(1, 0)]

    assert edges_of(graph_from(Igraph())) == "Ben-Ada"
    assert graph_from([(1.0, 2), (2.0, 3)]).labels == ("1", "2", "3")
