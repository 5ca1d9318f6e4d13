"""Files of every kind, whole and spoilt, for every reader: what comes back is a result or an `InputError`.

`python tests/attack/mutations.py COUNT SEED` reads so many spoilt files and prints how they ended; the seed
says which. A failure names the file, which is kept, and the reader.
"""

import contextlib
import gzip
import io
import json
import shutil
import struct
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import networkx
import numpy as np
import safetensors.numpy

from geomem.cli import main
from geomem.cli.options import read_configuration
from geomem.errors import InputError
from geomem.measure.vectors.reading import read_embeddings
from geomem.worlds.facts.reader import facts_from, read_facts
from geomem.worlds.facts.table_file import facts_from_json, facts_to_json
from geomem.worlds.graphs.families import cycle, path
from geomem.worlds.graphs.file import graph_from_json, graph_to_json
from geomem.worlds.graphs.readers import read_graph

GRAPH = cycle(6)
ROWS = np.arange(18.0).reshape(6, 3) / 7
LABELS = [f"town {row}" for row in range(6)]
FACTS = [("Italy", "capital", "Rome"), ("Italy", "currency", "euro"), ("Malta", "capital", "Valletta")]


def _written(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _graphs() -> dict[str, bytes]:
    graph: networkx.DiGraph = networkx.DiGraph([("Rome", "Bonn"), ("Bonn", "Bern"), ("Bern", "Rome")])
    networkx.set_node_attributes(graph, {"Rome": "Roma"}, "label")
    lines = [f"{a}\t{b}" for a, b in graph.edges]
    matrix = "%%MatrixMarket matrix coordinate pattern general\n3 3 2\n1 2\n2 3\n"
    pajek = (
        '*Vertices 3\n1 "Rome"\n2 "Bonn"\n3 "Bern"\n*Arcs\n1 2 1\n*Edges\n2 3\n*Arcslist\n1 2 3\n*Matrix\n'
    )
    nodes = [{"data": {"id": "a"}}, {"data": {"id": "b"}}]
    links = [{"data": {"source": "a", "target": "b"}}]
    texts = {
        "a.tsv": "\n".join(lines),
        "a.csv": 'from,to,km\n"Rome, old",Bonn,1.5\nBonn,Bern,2\n# end\n',
        "a.txt": "| from | to |\n|------|----|\n| Rome | Bonn |\n| Bonn | Bern |\n",
        "b.txt": "sep=;\na;b;0,5\nb;c;1,5\n",
        "c.txt": ",a,b,c\na,0,1,0\nb,1,0,1\nc,0,1,0\n",
        "d.txt": "(Rome -> Bonn),\n(Bonn -> Bern),\n",
        "named.tsv": "source\tkm\ttarget\na\t1\tb\nb\t2\tc\n",
        "a.net": pajek + "*Matrix\n0 1 0\n1 0 1\n0 1 0\n",
        "a.mtx": matrix,
        "a.tgf": "1 Rome\n2 Bonn\n3 Bern\n#\n1 2 road\n2 3\n",
        "a.metis": "3 2\n2\n1 3\n2\n",
        "a.sif": "Rome pp Bonn Bern\nBonn pp Bern\nOslo\n",
        "a.nt": '<http://x.org/a> <http://x.org/r> <http://x.org/b\\u00e9> .\n_:c <http://x.org/r> "d"@en .',
        "a.nq": "<http://x.org/a> <http://x.org/r> <http://x.org/b> <http://x.org/g> . # end\n",
        "a.adjlist": "Rome: Bonn, Bern\nBonn: Rome\n",
        "a.multiline_adjlist": "a 2\nb {}\nc {'weight': 1}\nb 0\nc 0\n",
        "a.json": json.dumps(networkx.node_link_data(graph, edges="links")),
        "b.json": json.dumps({"source": ["a", "b"], "target": ["b", "c"], "weight": [1, 2]}),
        "c.json": json.dumps([["a", "b"], ["b", "c"], ["c", "d"]]),
        "d.json": json.dumps({"elements": {"nodes": nodes, "edges": links}}),
        "e.json": json.dumps({"a": ["b", "c"], "b": ["c"]}),
        "a.jsonl": '{"source": "a", "target": "b"}\n{"source": "b", "target": {"id": "c"}}\n',
    }
    packed = gzip.compress(texts["a.csv"].encode(), mtime=0)
    return {name: text.encode() for name, text in texts.items()} | {
        "a.graphml": _written(lambda file: networkx.write_graphml(graph, file)),
        "a.gexf": _written(lambda file: networkx.write_gexf(graph, file)),
        "a.gml": _written(lambda file: networkx.write_gml(graph, file)),
        "a.csv.gz": packed,
        "utf16.csv": texts["a.csv"].encode("utf-16"),
    }


def _tables() -> dict[str, bytes]:
    lines = "".join("\t".join(fact) + "\n" for fact in FACTS)
    triples = "".join(f'<http://x.org/{s}> <http://x.org/{r}> "{o}" .\n' for s, r, o in FACTS)
    named = [dict(zip(("subject", "relation", "object"), fact, strict=True)) for fact in FACTS]
    texts = {
        "facts.tsv": "subject\trelation\tobject\n" + lines,
        "facts.csv": "".join(f'"{s}";{r};"{o}";0.5\n' for s, r, o in FACTS),
        "wide.csv": "land,capital,currency\nItaly,Rome,euro\nMalta,Valletta,\n",
        "facts.nt": triples,
        "facts.json": json.dumps(FACTS),
        "named.json": json.dumps(named),
        "facts.jsonl": "".join(json.dumps(row) + "\n" for row in named),
    }
    return {name: text.encode() for name, text in texts.items()} | {
        "facts.tsv.gz": gzip.compress(lines.encode(), mtime=0)
    }


def _vectors() -> dict[str, bytes]:
    rows = [" ".join(map(str, row)) for row in ROWS.tolist()]
    word2vec = "6 3\n" + "".join(f"{node} {row}\n" for node, row in enumerate(rows))
    titled = "node,x,y,z\n" + "".join(f'"{node}",{row.replace(" ", ",")}\n' for node, row in enumerate(rows))
    names, numbers = np.array(list(map(str, range(6)))), np.arange(6)
    binary = ROWS.astype("<f4")
    tensors = {"rows": ROWS.astype(np.float32), "count": numbers}
    return {
        "v.txt": word2vec.encode(),
        "glove.txt": word2vec.partition("\n")[2].encode(),
        "plain.txt": ("# made by hand\n" + "\n".join(rows) + "\n").encode(),
        "v.csv": titled.encode(),
        "v.tsv": titled.replace(",", "\t").encode(),
        "v.txt.gz": gzip.compress(word2vec.encode(), mtime=0),
        "v.bin": b"6 3\n" + b"".join(b"%d %b" % (node, row.tobytes()) for node, row in enumerate(binary)),
        "v.npy": _written(lambda file: np.save(file, ROWS)),
        "fleet.npy": _written(lambda file: np.save(file, np.asfortranarray(np.stack([ROWS, ROWS])))),
        "half.npy": _written(lambda file: np.save(file, ROWS.astype(np.float16))),
        "wide.npy": _written(lambda file: np.save(file, ROWS.astype(np.longdouble))),
        "v.npz": _written(lambda file: np.savez(file, labels=names, vectors=ROWS)),
        "packed.npz": _written(lambda file: np.savez_compressed(file, ids=numbers, emb=ROWS)),
        "v.safetensors": safetensors.numpy.save(tensors),
    }


def _labels() -> dict[str, bytes]:
    names = list(map(str, range(6)))
    return {
        "labels.txt": "\n".join(names).encode(),
        "labels.json": json.dumps(names).encode(),
        "vocab.json": json.dumps({name: row for row, name in enumerate(names)}).encode(),
        "labels.npy": _written(lambda file: np.save(file, np.array(names))),
        "bytes.npy": _written(lambda file: np.save(file, np.array(names, dtype="S"))),
    }


OPTIONS = b"""world = "cycle"
nodes = 6
model = "node2vec"
learning-rate = 1e-2
seed-list = [1, 2]
quiet = true
"""

Reader = Callable[[Path], object]


def _read_stored(place: Path, read: Callable[[object], object]) -> object:
    """A `world.json` or `facts.json`, read as a run directory's are."""
    try:
        content = json.loads(place.read_bytes())
    except (ValueError, RecursionError):
        return None
    return read(content)


def corpus() -> dict[str, dict[str, bytes]]:
    """Whole files by kind of reader and name.

    >>> sorted(corpus())
    ['facts', 'graph', 'labels', 'options', 'stored facts', 'stored graph', 'vectors']
    """
    return {
        "graph": _graphs(),
        "facts": _tables(),
        "vectors": _vectors(),
        "labels": _labels(),
        "options": {"options.toml": OPTIONS},
        "stored graph": {"world.json": json.dumps(graph_to_json(path(3))).encode()},
        "stored facts": {"facts.json": json.dumps(facts_to_json(facts_from(FACTS))).encode()},
    }


READERS: dict[str, Reader] = {
    "graph": read_graph,
    "facts": lambda place: read_facts(place, wide="wide" in place.name, several=True),
    "vectors": lambda place: read_embeddings(place, GRAPH),
    "labels": lambda place: read_embeddings(place.parent / "rows.npy", GRAPH, labels=place),
    "options": read_configuration,
    "stored graph": lambda place: _read_stored(place, graph_from_json),
    "stored facts": lambda place: _read_stored(place, facts_from_json),
}
"""What reads a file of every kind from Python."""


def commands(kind: str, place: Path) -> list[str]:
    """The command that reads a file of a kind, and does little more."""
    rows, three, runs = (str(place.parent / name) for name in ("rows.npy", "three.npy", "runs"))
    on_graph = ["measure", "--graph", "cycle", "--nodes", "6", "--json", "--embeddings"]
    return {
        "graph": ["measure", "--graph", str(place), "--json", "--embeddings", three],
        "facts": ["construct", str(place), "--several", "--out", str(place.parent / "memory")],
        "vectors": [*on_graph, str(place)],
        "labels": [*on_graph, rows, "--labels", str(place)],
        "options": [
            "memorize",
            "--config",
            str(place),
            "--steps",
            "1",
            "--directory",
            runs,
            "--device",
            "cpu",
        ],
    }[kind]


NUMBERS = [
    b"0",
    b"-1",
    b"1e400",
    b"9" * 25,
    b"9" * 5000,
    b"18446744073709551616",
    b"NaN",
    b"inf",
    b"1_0",
    b"0x1",
]
WORDS = [
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1b[31m",
    "\x9b\u202e".encode(),
    b'"',
    b'"' * 3,
    b"\\",
    b"\t\t",
    b"\r",
    b"\n\n",
    b"[" * 5000,
    b"{" * 3000,
    b"(" * 200,
    b"<" * 50,
    b"&#155;",
    b"&lt;",
    b"\\ud800",
    b"#",
    b"//",
    b"sep=|",
    b"%%MatrixMarket",
    b"'" * 9,
    b"True",
    b"null",
    b"x" * 5000,
    b"\xed\xa0\x80",
    "é".encode("latin-1"),
    b"=1+1",
    b"---",
]


TOKENS = b"""
<f8 >f8 <f4 <f2 <f16 |O |S0 <U1 <U9999 |S1 |V8 <c16 |b1 <M8[ns] <i8 |u1 True False () (6,) (6,3) (3,6)
(2,3,3) (18,) F32 F64 BF16 I64 F8_E4M3 BOOL shape dtype data_offsets [ ] {} [] source target id label nodes
links edges name key graph node edge null true 1.5 "" , ; : | -> # " ' = facts root mutual coordinates notes
format < /> general symmetric *Arcs *Edges *Matrix pattern coordinate array complex subject relation object
""".split()
TOKENS += [b"\t", b" ", b"\n"]
"""Words and marks that formats give a meaning."""


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes, spoilt in one to three ways: cut, flipped, repeated, swapped, with numbers and marks put in.

    >>> mutate(b"Rome\\tBonn", np.random.default_rng(0)) == mutate(b"Rome\\tBonn", np.random.default_rng(0))
    True
    """
    for _ in range(int(rng.choice([1, 1, 1, 2, 4]))):
        data = WAYS[rng.integers(len(WAYS))](data, rng)
    return data


def _piece(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    """Where a short piece begins and ends."""
    start = int(rng.integers(len(data) + 1))
    return start, min(len(data), start + int(rng.integers(1, 40)))


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    spoilt = bytearray(data)
    bits = 7 if data.isascii() and rng.random() < 0.8 else 8  # mostly, text stays text
    for place in rng.integers(len(data), size=rng.integers(1, 5)) if data else ():
        spoilt[place] ^= 1 << int(rng.integers(bits))
    return bytes(spoilt)


def _put_in(data: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(data) + 1))
    word = WORDS[rng.integers(len(WORDS))] if rng.random() < 0.8 else rng.bytes(int(rng.integers(1, 30)))
    return data[:place] + word + data[place:]


def _number(data: bytes, rng: np.random.Generator) -> bytes:
    """Another number in the place of one that stands in the text, or of four bytes, as headers have them."""
    places = [place for place, byte in enumerate(data) if byte in b"0123456789"]
    if places and rng.random() < 0.7:
        start = end = places[rng.integers(len(places))]
        while end < len(data) and data[end] in b"0123456789":
            end += 1
        return data[:start] + NUMBERS[rng.integers(len(NUMBERS))] + data[end:]
    start = int(rng.integers(len(data) + 1))
    value = int(rng.choice([0, 1, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1]))
    return data[:start] + struct.pack("<I", value) + data[start + 4 :]


def _token(data: bytes, rng: np.random.Generator) -> bytes:
    """Another word of the formats' own in the place of one that is there, once or everywhere."""
    there = [word for word in TOKENS if word in data]
    if not there:
        return data
    old, new = there[rng.integers(len(there))], TOKENS[rng.integers(len(TOKENS))]
    return data.replace(old, new, int(rng.choice([1, 2, -1])))


def _swap(data: bytes, rng: np.random.Generator) -> bytes:
    (a, b), (c, d) = sorted([_piece(data, rng), _piece(data, rng)])
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[max(b, d) :]


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _take_out(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _piece(data, rng)
    return data[:start] + data[end:]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _piece(data, rng)
    return data[:end] + data[start:end] * int(rng.choice([1, 3, 300])) + data[end:]


def _join(data: bytes, rng: np.random.Generator) -> bytes:
    """The file behind itself, or its lines in another order."""
    if rng.random() < 0.3:
        return data + data
    lines = data.split(b"\n")
    return b"\n".join(lines[place] for place in rng.permutation(len(lines)))


WAYS = [_flip, _put_in, _put_in, _number, _number, _token, _token, _swap, _cut, _take_out, _repeat, _join]


def spoil(data: bytes, rng: np.random.Generator) -> bytes:
    """`mutate`, and in half of the cases what a packed file holds in place of the file."""
    if rng.random() < 0.5:
        return mutate(data, rng)
    if data[:2] == b"\x1f\x8b":
        return gzip.compress(mutate(gzip.decompress(data), rng), mtime=0)
    if data[:6] == b"\x93NUMPY":
        length = 10 + int.from_bytes(data[8:10], "little")
        header = mutate(data[10:length], rng)
        return data[:8] + struct.pack("<H", len(header) & 0xFFFF) + header + data[length:]
    if data[8:9] == b"{":  # safetensors
        length = 8 + int.from_bytes(data[:8], "little")
        header = mutate(data[8:length], rng)
        return struct.pack("<Q", len(header)) + header + data[length:]
    if data[:2] == b"PK":
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
            for name in old.namelist():
                new.writestr(name, spoil(old.read(name), rng) if rng.random() < 0.7 else old.read(name))
        return buffer.getvalue()
    return mutate(data, rng)


class Broken(AssertionError):
    """A reader let something else through than a result or an `InputError`."""


def attack(count: int, seed: int, folder: Path, *, by_command: bool = False) -> Counter[str]:
    """Read so many spoilt files, from Python or by the command line, and count how they ended.

    A tenth of them have the name of another kind. Raises `Broken` for the first that ended in anything but a
    result or one sentence; the file stays in the folder.
    """
    rng = np.random.default_rng(seed)
    whole = {kind: list(files.items()) for kind, files in corpus().items()}
    kinds = [kind for kind in whole if not by_command or not kind.startswith("stored")]
    everything = [name for files in whole.values() for name, _ in files]
    np.save(folder / "rows.npy", ROWS)
    np.save(folder / "three.npy", ROWS[:3])
    ends: Counter[str] = Counter()
    for number in range(count):
        kind = kinds[number % len(kinds)]
        name, data = whole[kind][rng.integers(len(whole[kind]))]
        if rng.random() < 0.1:
            name = everything[rng.integers(len(everything))]
        place = folder / name
        place.write_bytes(spoil(data, rng))
        try:
            end = _by_command(kind, place) if by_command else read_or_refuse(kind, place)
        except Exception as error:
            raise Broken(f"spoilt file {number} of seed {seed}, read as {kind}: {place}") from error
        ends[f"{kind}, {end}"] += 1
        place.unlink()
    return ends


def read_or_refuse(kind: str, place: Path) -> str:
    """Read a file of a kind, and say how that ended; raises whatever is not an `InputError` of one line."""
    with warnings.catch_warnings(action="error"):
        try:
            READERS[kind](place)
        except InputError as error:
            _check_sentence(str(error))
            return "refused"
    return "read"


def _by_command(kind: str, place: Path) -> str:
    shutil.rmtree(place.parent / "memory", ignore_errors=True)
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main(commands(kind, place))
    if status == 2:
        *_, said = errors.getvalue().removesuffix("\n").split("\n")
        _check_sentence(said.removeprefix("geomem: "))
    elif status != 0:
        raise AssertionError(f"it ended with {status}")
    return "refused" if status else "read"


def _check_sentence(sentence: str) -> None:
    if "\n" in sentence or "\x1b" in sentence or len(sentence) > 4000 or sentence[-1:] not in ".?":
        raise AssertionError(f"this is not one sentence: {sentence[:300]!r}")


if __name__ == "__main__":
    ends = attack(int(sys.argv[1]), int(sys.argv[2]), Path(tempfile.mkdtemp()))
    for end, times in sorted(ends.items()):
        print(f"{times:7,}  {end}")
