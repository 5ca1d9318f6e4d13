"""What is asked of a model: what asking selects, and whether its answers follow the subject's state."""

import json

import numpy as np
import pytest
from tiny_models import write_model, write_tokenizer

from geomem.audit.asking import ask_facts, move_answers
from geomem.audit.facts import audit_facts
from geomem.audit.source import Reading, object_states, read_source
from geomem.cli import main
from geomem.worlds.facts.reader import facts_from, read_facts

transformers = pytest.importorskip("transformers", reason="needs transformers, of the extra hf")
torch = pytest.importorskip("torch")


SUBJECTS = [f"s{at}" for at in range(50)]
OBJECTS = {"capital": [f"t{at}" for at in range(5)], "country": [f"c{at}" for at in range(4)]}
FACTS = {
    relation: np.random.default_rng(at).integers(len(objects), size=len(SUBJECTS)).tolist()
    for at, (relation, objects) in enumerate(OBJECTS.items())
}
QUESTIONS = {relation: f"The {relation} of {{}} is {{}}" for relation in OBJECTS}


def write_facts(path):
    lines = [
        f"{subject}\t{relation}\t{OBJECTS[relation][fact]}"
        for relation in OBJECTS
        for subject, fact in zip(SUBJECTS, FACTS[relation], strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_network(folder, *, steps):
    """A GPT-2 of two blocks that has learned the facts for so many steps."""
    words = [*SUBJECTS, *(word for objects in OBJECTS.values() for word in objects)]
    size = len(write_tokenizer(folder, words))
    ends = {"bos_token_id": None, "eos_token_id": None}
    torch.manual_seed(0)
    network = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=size, n_positions=24, n_embd=48, n_layer=2, n_head=2, initializer_range=0.1, **ends
        )
    ).eval()
    texts = [
        f"The {relation} of {subject} is {OBJECTS[relation][fact]}"
        for relation in OBJECTS
        for subject, fact in zip(SUBJECTS, FACTS[relation], strict=True)
    ]
    tokens = torch.tensor(transformers.AutoTokenizer.from_pretrained(folder)(texts)["input_ids"])
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for _ in range(steps):
        logits = network(input_ids=tokens).logits[:, -2]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits, tokens[:, -1]).backward()
        optimizer.step()
    network.save_pretrained(folder)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A table, and folders of a GPT-2 before and after it learned the table."""
    folder = tmp_path_factory.mktemp("asked")
    write_network(folder / "untrained", steps=0)
    write_network(folder / "trained", steps=50)
    return write_facts(folder / "facts.tsv"), folder / "untrained", folder / "trained"


def test_a_model_that_learned_follows_its_maps_and_selects(written, capsys):
    """A gain of 2 is what the ridge takes away; after the first block the subject was read already."""
    facts, _, trained = written
    given = ["audit", str(trained), "--facts", str(facts), "--twins", "0", "--causal"]
    assert main(given) == 0
    said = capsys.readouterr()
    assert "Moving answers: up to 720 questions" in said.err
    for title in ("selection", "untouched", "replaced", "moved by", "random"):
        assert title in said.out
    assert main([*given, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [(entry["relation"], entry["layer"]) for entry in content["causes"]] == [
        (relation, layer) for relation in OBJECTS for layer in ("input embedding", "block 1")
    ]
    for entry in content["causes"]:
        causes, before = entry["causes"], entry["layer"] == "input embedding"
        assert causes["untouched"] == 1
        assert causes["replaced"] == before
        assert not any(causes["random"])
        assert (causes["moved"][causes["gains"].index(2)] > 0.9) == before
        assert (causes["p"] < 0.05) == before
    layers = [entry["layer"] for entry in content["selection"]]
    assert layers == ["block 1", "block 2", "final norm"]
    own = np.eye(2, dtype=bool)
    for entry in content["selection"][1:]:
        shares = np.array(entry["shares"])
        assert shares[own].min() > 2 * shares[~own].max()


def test_nothing_moves_a_model_of_random_weights(written):
    facts, untrained, _ = written
    table = read_facts(facts)
    source = read_source(untrained, table.subjects)
    objects, _ = object_states(source, table.objects, Reading())
    asked = ask_facts(source, table, objects, QUESTIONS)
    assert all(abs(selection.strength) < 0.01 for selection in asked.selection)
    audit = audit_facts(source.states, table, objects, shuffles=9)
    causes, notes = move_answers(source, table, objects, QUESTIONS, audit.relations)
    assert not notes
    assert all(found.causes.p > 0.05 for found in causes)
    assert all(np.ptp([found.causes.moved, found.causes.random]) < 0.2 for found in causes)


def test_a_question_that_begins_with_the_subject_moves_nothing(written):
    facts, _, trained = written
    table = read_facts(facts)
    source = read_source(trained, table.subjects)
    objects, _ = object_states(source, table.objects, Reading())
    audit = audit_facts(source.states, table, objects, shuffles=9)
    causes, notes = move_answers(source, table, objects, {"capital": "{} is {}"}, audit.relations)
    assert not causes
    assert "'capital' was not measured: the question '{} is {}' begins with the subject" in notes[0]


def test_selection_is_of_what_has_facts(written):
    """One relation is not enough, and a relation is fitted on those that have it."""
    facts, untrained, _ = written
    lines = facts.read_text().splitlines()
    table = facts_from([line.split("\t") for line in lines[:50] + lines[50:70]])
    source = read_source(untrained, table.subjects)
    objects, _ = object_states(source, table.objects, Reading())
    assert ask_facts(source, table, objects, {"capital": QUESTIONS["capital"]}).selection == ()
    asked = ask_facts(source, table, objects, QUESTIONS)
    assert asked.behaviours["country"].asked == 20
    assert len(asked.selection) == 3


@pytest.mark.parametrize(
    ("what", "given", "complaint"),
    [
        ("encoder", ["--facts", "facts.tsv"], "has no head that answers; leave out --question and --causal"),
        ("vectors.txt", ["--facts", "facts.tsv"], "is a file of vectors, and answers no question; leave out"),
        ("encoder", ["--graph", "cycle"], "--causal is about relations; leave it out with --graph"),
    ],
)
def test_what_answers_nothing(what, given, complaint, written, tmp_path, monkeypatch, capsys):
    write_model(tmp_path / "encoder", "bert", [*SUBJECTS, *OBJECTS["capital"], *OBJECTS["country"]])
    network = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "encoder")
    network.base_model.save_pretrained(tmp_path / "encoder")
    rows = [f"{word} {at} 1" for at, word in enumerate(SUBJECTS + OBJECTS["capital"] + OBJECTS["country"])]
    (tmp_path / "vectors.txt").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facts.tsv").write_text(written[0].read_text())
    assert main(["audit", what, *given, "--causal"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert complaint in said


def test_a_model_reads_names_by_their_aliases(written, tmp_path, capsys):
    """A world that calls subjects and objects otherwise is the same world."""
    facts, _, trained = written
    renamed = facts.read_text().replace("s7\t", "Seven\t").replace("\tt3", "\tThird")
    (tmp_path / "renamed.tsv").write_text(renamed)
    (tmp_path / "aliases.csv").write_text("Seven,seventh\nSeven,s7\nThird,t3\n")
    found = []
    for file, more in ((facts, []), (tmp_path / "renamed.tsv", ["--aliases", str(tmp_path / "aliases.csv")])):
        given = ["audit", str(trained), "--facts", str(file), "--twins", "1", "--json"]
        assert main([*given, *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
    assert "Names read by an alias: 's7' for 'Seven', 't3' for 'Third'." in found[1]["input"]
    for one, other in zip(found[0]["relations"], found[1]["relations"], strict=True):
        assert one["behaviour"]["right"] == other["behaviour"]["right"] == len(SUBJECTS)
        assert one["looks"] == other["looks"]
