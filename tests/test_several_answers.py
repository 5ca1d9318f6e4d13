"""Several answers to a question, written down in cells: exact, in a size that follows the facts."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.cli import main
from geomem.constructions.answering import recall_logits
from geomem.constructions.cells import cells_size, recall_answer_sets, several_superposition
from geomem.constructions.codes import binary_length
from geomem.constructions.one_hop import SUBJECTS, block_size, block_superposition
from geomem.errors import InputError
from geomem.memories.answers import recalled_facts
from geomem.memories.ask import ask
from geomem.memories.construct import construct_memory
from geomem.memories.edit import edit_fact, forget_fact
from geomem.memories.opened import held_in_cells, model_table, open_memory
from geomem.runs.directory import CURRENT, configuration_hash
from geomem.runs.facts import learn_facts
from geomem.runs.run import read_run, write_run
from geomem.worlds.facts.families import random_bijections
from geomem.worlds.facts.reader import facts_from
from geomem.worlds.facts.several_answers import numbered_relations
from geomem.worlds.facts.table import check_single_answers, relation_bits

TRIPLES = [
    ("Italy", "capital", "Rome"),
    ("Italy", "borders", "France"),
    ("Italy", "borders", "Austria"),
    ("Italy", "borders", "Malta"),
    ("Italy", "language", "Italian"),
    ("France", "capital", "Paris"),
    ("France", "borders", "Italy"),
    ("Austria", "capital", "Vienna"),
    ("Austria", "borders", "Italy"),
    ("Malta", "language", "Maltese"),
    ("Malta", "language", "English"),
]


@pytest.fixture
def towns(tmp_path):
    return construct_memory(TRIPLES, tmp_path / "towns", several=True)


def knowledge_graph(facts, entities, relations, seed):
    """Different triples, subjects and relations drawn by Zipf's law: some questions get dozens."""
    generator = np.random.default_rng(seed)
    shares = [1 / np.arange(1, count + 1) for count in (entities, relations)]
    drawn = np.zeros((0, 3), dtype=int)
    while len(drawn) < facts:
        more = [generator.choice(len(p), size=facts, p=p / p.sum()) for p in shares]
        more.append(generator.integers(entities, size=facts))
        drawn = np.unique(np.concatenate([drawn, np.stack(more, axis=1)]), axis=0)
    kept = np.sort(generator.permutation(len(drawn))[:facts])
    return [(f"e{s}", f"r{r}", f"e{o}") for s, r, o in drawn[kept].tolist()]


def answer_sets(facts):
    found = {}
    for subject, relation, answer in facts:
        found.setdefault((subject, relation), set()).add(answer)
    return found


def named(table):
    return [(table.subjects[s], table.relations[r], table.objects[o]) for s, r, o in table.facts.tolist()]


def said_by(path, table):
    """Every answer to every question of a table's labels, facts or not."""
    opened = open_memory(path)
    said = {}
    for subject in table.subjects:
        for relation in table.relations:
            found = ask(opened, subject, relation).answers
            assert len(set(found)) == len(found)
            if found:
                said[subject, relation] = set(found)
    return said


# Size.


@pytest.mark.parametrize(
    ("facts", "entities", "relations"), [(5216, 135, 46), (5000, 1000, 10), (1592, 14, 55), (5000, 60, 4)]
)
def test_the_size_of_a_knowledge_graph_follows_its_facts(tmp_path, facts, entities, relations):
    triples = knowledge_graph(facts, entities, relations, seed=facts)
    memory = construct_memory(triples, tmp_path / "memory", several=True)
    table = memory.table
    assert table.several
    one_each = block_size(
        table.subject_count, table.relation_count, table.object_count, binary_length(table.object_count)
    ).numbers
    stored = sum(array.size for array in (*memory.weights().values(), *memory.cell_weights().values()))
    assert stored - one_each < 200_000
    further = table.fact_count - len(table.answer_counts)
    length = binary_length(table.relation_count + table.object_count)
    size = cells_size(further, table.relation_count, table.object_count, length)
    assert stored == one_each + size.numbers == several_superposition(table).numbers
    assert sum(memory.cell_counts) == further
    numbered = numbered_relations(table)
    dense = block_size(
        numbered.subject_count,
        numbered.relation_count,
        numbered.object_count,
        binary_length(numbered.object_count),
    )
    assert dense.numbers > 5 * stored  # what a relation for every further answer would take
    said = memory.manifest["recalled"]
    assert (said["recall"], said["facts"]) == (1.0, facts)
    margin = memory.manifest["configuration"]["training"]["margin"]
    assert said["margin"] >= margin - 1e-12
    # Which questions have answers is not assumed: every one is asked, and nothing more is said.
    opened = open_memory(memory)
    sets = answer_sets(triples)
    for subject in table.subjects[:20]:
        for relation in table.relations:
            assert set(ask(opened, subject, relation).answers) == sets.get((subject, relation), set())


def test_the_limit_counts_blocks_and_cells_and_names_its_option(tmp_path):
    table = facts_from(knowledge_graph(500, 30, 5, seed=0), several=True)
    numbers = several_superposition(table).numbers
    with pytest.raises(InputError, match=r"would hold [\d,]+ numbers.*numbers_limit \(--numbers-limit\)\.$"):
        construct_memory(table, tmp_path / "memory", numbers_limit=numbers - 1)
    assert list(tmp_path.iterdir()) == []
    construct_memory(table, tmp_path / "memory", numbers_limit=numbers)


def test_single_answers_are_written_as_ever():
    table = random_bijections(20, 3)
    memory, expected = several_superposition(table), block_superposition(table)
    assert memory.cells is None
    assert all((memory.first.weights[name] == array).all() for name, array in expected.weights.items())


# Asking.


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_what_is_asked_is_what_was_written_and_changes_change_nothing_else(tmp_path_factory, data):
    names = st.sampled_from("abcd")
    triples = data.draw(
        st.lists(
            st.tuples(names, st.sampled_from("rst"), st.sampled_from("abcdwxyz")), min_size=2, unique=True
        )
    )
    code = data.draw(st.sampled_from(["binary", "signs", "sphere", "circle"]))
    path = tmp_path_factory.mktemp("memories") / "memory"
    memory = construct_memory(triples, path, several=True, code=code)
    table = memory.table
    sets = answer_sets(triples)
    assert said_by(path, table) == sets
    edited: set[tuple[str, str, str]] = set()
    for _ in range(data.draw(st.integers(1, 3))):
        subject, relation = (
            data.draw(st.sampled_from(table.subjects)),
            data.draw(st.sampled_from(table.relations)),
        )
        known = sorted(sets.get((subject, relation), set()))
        new = data.draw(st.sampled_from(table.objects))
        verb = data.draw(st.sampled_from(["replace", "also", "forget", "every"]))
        facts = sum(map(len, sets.values()))
        if verb in ("replace", "also"):
            old = data.draw(st.sampled_from(known)) if known and verb == "replace" else None
            also = verb == "also"
            if new in known:
                # Who repeats an edit changes nothing; who asks for what was always so may err.
                effect = None
                with suppress(InputError):
                    effect = edit_fact(path, subject, relation, new, instead_of=old, also=also)
                assert effect is None or (subject, relation, new) in edited
                assert effect is None or effect.changed_numbers == effect.changed_answers == 0
                assert said_by(path, table) == sets
                continue
            effect = edit_fact(path, subject, relation, new, instead_of=old, also=also)
            assert (effect.before, effect.after) == (old, new)
            edited.add((subject, relation, new))
            sets[subject, relation] = set(known) - {old} | {new}
            gone = 0 if old is None else 1
        else:
            old = data.draw(st.sampled_from(known)) if known else None
            left = facts - (len(known) if verb == "every" else 1)
            if old is None or left == 0:
                continue
            every = verb == "every"
            effect = forget_fact(path, subject, relation, None if every else old, every=every)
            assert effect.after is None
            kept = set() if verb == "every" else set(known) - {old}
            sets[subject, relation] = kept
            if not kept:
                del sets[subject, relation]
            gone = len(known) if verb == "every" else 1
        assert (effect.changed_answers, effect.largest_shift) == (0, 0.0)
        assert effect.other_facts == facts - gone
        assert len(effect.changed_vectors) == max(gone, 1) if verb != "every" else gone
        again = read_run(path)
        assert answer_sets(named(again.table)) == sets
        assert again.manifest["recalled"]["recall"] == 1
        assert (
            again.manifest["recalled"]["margin"]
            >= again.manifest["configuration"]["training"]["margin"] - 1e-9
        )
        assert said_by(path, table) == sets
        assert {entry.name for entry in path.iterdir()} == {
            CURRENT,
            f"version-{len(again.manifest['edits'])}",
        }


def test_chains_follow_every_answer(towns):
    asked = ask(towns, "Italy", "borders", "language")
    assert asked.answers == ("Maltese", "English")
    assert [(step.subject, step.answers) for step in asked.steps[1:]] == [
        ("France", ()),
        ("Austria", ()),
        ("Malta", ("Maltese", "English")),
    ]
    assert ask(towns, "France", "borders", "borders").answers == ("France", "Austria", "Malta")
    assert ask(towns, "Malta", "borders").answers == ()


def test_a_relation_whose_name_ends_in_a_number_is_one_of_its_own(tmp_path):
    facts = [("a", "r", "x"), ("a", "r", "y"), ("a", "r (2)", "z")]
    memory = construct_memory(facts, tmp_path / "memory", several=True)
    assert ask(memory, "a", "r").answers == ("x", "y")
    assert ask(memory, "a", "r (2)").answers == ("z",)


def test_the_weights_of_cells_answer_and_not_the_table(tmp_path, towns):
    """Cells of other facts beside the same table give the answers of the others."""
    other = construct_memory(
        [(s, r, "Rome" if o == "English" else o) for s, r, o in TRIPLES], tmp_path / "other", several=True
    )
    changed = {f"cells.{name}": array for name, array in towns.cell_weights().items()}
    cell = list(np.repeat(np.arange(4), towns.cell_counts)).index(towns.table.subject_ids["Malta"])
    edit_fact(other, "Malta", "language", "Paris", instead_of="Rome")
    assert ask(towns, "Malta", "language").answers == ("Maltese", "English")
    rows = changed[f"cells.{SUBJECTS}"].copy()
    rows[:, cell] = 0
    write_run(
        tmp_path / "mixed",
        manifest=towns.manifest,
        world=towns.table,
        metrics={"recall": np.ones((1, 1))},
        metric_steps=np.array([0]),
        weights=towns.weights() | changed | {f"cells.{SUBJECTS}": rows},
    )
    assert ask(tmp_path / "mixed", "Malta", "language").answers == ("Maltese",)


def test_what_is_said_beyond_the_table_counts_against_recall(towns):
    opened = open_memory(towns)
    table = facts_from(TRIPLES[:-1], several=True)
    assert opened.weights is not None
    assert opened.cells is not None
    whole = recall_answer_sets(opened.weights, opened.cells, opened.stored.table, opened.least_lead)
    assert whole.recall == 1
    assert table.fact_count == 10
    fewer = facts_from([*TRIPLES[:-1], ("France", "language", "English")], several=True)
    if (fewer.subjects, fewer.relations) == (towns.table.subjects, towns.table.relations):
        found = recall_answer_sets(opened.weights, opened.cells, fewer, opened.least_lead)
        assert found.recall < 1


# Changing.


def test_several_answers_are_changed_by_name_alone(towns):
    def refusal(change):
        before = {file.name: file.read_bytes() for file in towns.path.iterdir()}
        with pytest.raises(InputError) as caught:
            change()
        assert {file.name: file.read_bytes() for file in towns.path.iterdir()} == before
        return str(caught.value)

    question = (towns, "Italy", "borders")
    said = refusal(lambda: edit_fact(*question, "Italy"))
    assert said.startswith(
        "The memory has 3 answers to 'Italy', 'borders' ('France', 'Austria', 'Malta'); name"
    )
    assert "instead_of (--instead-of)" in said
    assert "also (--also)" in said
    said = refusal(lambda: forget_fact(*question))
    assert "name the one to forget" in said
    assert "every (--every)" in said
    assert "and not with 'Rome'; name an answer that it gives" in refusal(
        lambda: forget_fact(*question, "Rome")
    )
    assert "and not with 'Rome'" in refusal(lambda: edit_fact(*question, "Italy", instead_of="Rome"))
    assert "did you mean Austria?" in refusal(lambda: forget_fact(*question, "Austri"))
    assert "give one of them" in refusal(lambda: forget_fact(*question, "Malta", every=True))
    assert "give instead_of to replace" in refusal(
        lambda: edit_fact(*question, "Italy", instead_of="Malta", also=True)
    )
    assert "already; give another object" in refusal(lambda: edit_fact(*question, "France", also=True))


def test_a_change_of_a_cell_moves_its_vector_and_no_logit_of_another(towns):
    before = {**towns.weights(), **{f"cells.{n}": a for n, a in towns.cell_weights().items()}}
    effect = edit_fact(towns, "Italy", "borders", "Italy", instead_of="Malta")
    assert (effect.before, effect.after, effect.changed_vectors) == ("Malta", "Italy", ("cell",))
    assert ask(towns.path, "Italy", "borders").answers == ("France", "Austria", "Italy")
    again = read_run(towns.path)
    after = {**again.weights(), **{f"cells.{n}": a for n, a in again.cell_weights().items()}}
    differs = {name: np.argwhere(array != after[name]) for name, array in before.items()}
    assert {name for name, where in differs.items() if len(where)} == {f"cells.{SUBJECTS}"}
    assert len(set(differs[f"cells.{SUBJECTS}"][:, 1].tolist())) == 1
    assert len(differs[f"cells.{SUBJECTS}"]) == effect.changed_numbers


def test_a_forgotten_cell_is_used_again_and_a_memory_without_cells_gets_some(tmp_path, towns):
    cells = sum(towns.cell_counts)
    assert forget_fact(towns, "Italy", "borders", "Austria").changed_vectors == ("cell",)
    assert edit_fact(towns, "Italy", "capital", "Paris", also=True).changed_vectors == ("cell",)
    assert sum(read_run(towns.path).cell_counts) == cells
    assert edit_fact(towns, "Italy", "capital", "Vienna", also=True).changed_vectors == ("new cell",)
    assert sum(read_run(towns.path).cell_counts) == cells + 1
    assert ask(towns.path, "Italy", "capital").answers == ("Rome", "Paris", "Vienna")
    assert forget_fact(towns, "Italy", "borders", "France").changed_vectors == ("subject vector",)
    assert edit_fact(towns, "Italy", "borders", "Italy", also=True).changed_vectors == ("subject vector",)
    effect = forget_fact(towns, "Italy", "borders", every=True)
    assert (effect.before, effect.after) == ("Malta; Italy", None)
    assert effect.changed_vectors == ("subject vector", "cell")
    plain = construct_memory([("a", "r", "x"), ("b", "r", "y")], tmp_path / "plain")
    assert not plain.cell_counts
    assert edit_fact(plain, "a", "r", "y", also=True).changed_vectors == ("new cell",)
    again = read_run(plain.path)
    assert (again.cell_counts, again.manifest["recalled"]["recall"]) == ((1, 0), 1.0)
    assert ask(again, "a", "r").answers == ("x", "y")
    assert again.manifest["hash"] == configuration_hash(again.manifest["configuration"])


# On disk.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("cells"), "not so many for each subject"),
        (lambda t: t.pop("cell_length"), "not so many for each subject"),
        (lambda t: t.update(cells=[1, 1]), "not so many for each subject"),
        (lambda t: t.update(cells=[-1, 1, 1, 2]), "not so many for each subject"),
        (lambda t: t.update(cells=[True, 1, 1, 0]), "not so many for each subject"),
        (lambda t: t.update(cells=[0, 0, 0, 0]), "not so many for each subject"),
        (lambda t: t.update(cells="2"), "not so many for each subject"),
        (lambda t: t.update(cells=[2, 0, 0, 2]), "its model and facts need"),
        (lambda t: t.update(cells=[10**9, 0, 0, 1]), "not so many for each subject"),
        (lambda t: t.update(cell_length=10**9), "not so many for each subject"),
        (lambda t: t.update(cell_length=5), "its model and facts need"),
        (lambda t: t.update(kind="trained"), "not so many for each subject"),
        (lambda t: (t.pop("cells"), t.pop("cell_length")), "has no cells for them"),
    ],
)
def test_a_manifest_whose_cells_do_not_fit_is_damaged(tmp_path, towns, change, message):
    manifest = json.loads(json.dumps(towns.manifest))
    change(manifest["configuration"]["training"])
    weights = towns.weights() | {f"cells.{name}": array for name, array in towns.cell_weights().items()}

    def write_and_read():
        write_run(
            tmp_path / "altered",
            manifest=manifest | {"hash": configuration_hash(manifest["configuration"])},
            world=towns.table,
            metrics={"recall": np.ones((1, 1))},
            metric_steps=np.array([0]),
            weights=weights,
        )
        read_run(tmp_path / "altered")

    with pytest.raises(InputError, match=message):
        write_and_read()


def test_cells_that_are_not_numbers_or_name_no_code_are_damaged(tmp_path, towns):
    weights = towns.weights() | {f"cells.{name}": array for name, array in towns.cell_weights().items()}
    broken = weights | {f"cells.{SUBJECTS}": np.full_like(weights[f"cells.{SUBJECTS}"], np.nan)}
    manifest = json.loads(json.dumps(towns.manifest))
    manifest["configuration"]["training"]["code"] = "morse"
    manifest |= {"hash": configuration_hash(manifest["configuration"])}
    for name, parts, told in (("nan", broken, towns.manifest), ("code", weights, manifest)):
        write_run(
            tmp_path / name,
            manifest=told,
            world=towns.table,
            metrics={"recall": np.ones((1, 1))},
            metric_steps=np.array([0]),
            weights=parts,
        )
    with pytest.raises(InputError, match=r"subject_embedding holds numbers that are not finite"):
        ask(tmp_path / "nan", "Italy", "borders")
    with pytest.raises(InputError, match="names no code with a seed"):
        edit_fact(tmp_path / "code", "Italy", "capital", "Paris")


# Others that meet such tables.


def test_the_model_alone_holds_first_answers(towns):
    table = model_table(towns)
    assert table.fact_count == 11 - int(held_in_cells(open_memory(towns)).sum()) == 8
    check_single_answers(table)
    assert recalled_facts(towns).all()
    logits = recall_logits({n: a[0] for n, a in towns.weights().items()}, *table.facts[:, :2].T)
    assert (logits.argmax(axis=1) == table.facts[:, 2]).all()


def test_a_model_is_trained_on_numbered_relations_alone(tmp_path):
    table = facts_from(TRIPLES, several=True)
    with pytest.raises(
        InputError, match=r"has 3 answers to 'Italy', 'borders', where one is expected; number"
    ):
        learn_facts(table, directory=tmp_path)
    assert list(tmp_path.iterdir()) == []
    numbered = numbered_relations(table)
    assert numbered.notes == (
        "2 of 3 relations have up to 3 answers; they are asked as 'borders', 'borders (2)', and so on.",
    )
    assert numbered_relations(numbered) is numbered


def test_bits_of_several_answers_count_sets_and_not_orders():
    """Two subjects with two answers each of four objects: 4! / (2! 2!) = 6 ways to deal them out."""
    facts = [("a", "r", "w"), ("a", "r", "x"), ("b", "r", "y"), ("b", "r", "z")]
    assert relation_bits(facts_from(facts, several=True)).tolist() == pytest.approx([np.log2(6)])


def test_the_command_line_says_what_to_do(tmp_path, capsys):
    file = tmp_path / "towns.tsv"
    file.write_text("".join("\t".join(fact) + "\n" for fact in TRIPLES))
    memory = str(tmp_path / "memory")

    def run(*arguments):
        status = main(list(map(str, arguments)))
        printed = capsys.readouterr()
        return status, printed.out.splitlines(), printed.err

    assert run("construct", file, "--out", memory, "--several")[1][0].endswith("3 further answers in cells")
    assert run("ask", memory, "Italy", "borders")[:2] == (0, ["France\tAustria\tMalta"])
    assert run("edit", memory, "Italy", "borders", "Italy")[0] == 2
    said, changed = run("edit", memory, "Italy", "borders", "Italy", "--instead-of", "Malta")[1][:2]
    assert said == "Italy, borders: Italy in the place of Malta, 2 other answers kept"
    assert changed.endswith("numbers of one cell changed, and nothing else")
    added = run("edit", memory, "Italy", "borders", "Malta", "--also")[1][0]
    assert added == "Italy, borders: Malta added, 3 other answers kept"
    gone = run("forget", memory, "Italy", "borders", "France")[1][0]
    assert gone == "Italy, borders: France taken out, 3 other answers kept"
    assert run("ask", memory, "Italy", "borders")[1] == ["Austria\tItaly\tMalta"]
    lines = run("forget", memory, "Italy", "borders", "--every")[1]
    assert lines[0] == "Italy, borders: Austria; Italy; Malta -> no answer"
    assert "of 3 cells changed, and nothing else" in lines[1]
