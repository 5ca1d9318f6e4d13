"""Facts written down: exact, refused with what would do, changed one vector at a time, never half on disk."""

import json
import shutil
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomem.cli import main
from geomem.constructions.answering import recall_logits
from geomem.constructions.one_hop import OBJECTS, SUBJECTS, block_superposition, smallest_width
from geomem.errors import InputError
from geomem.memories.answers import memory_answers, recalled_facts
from geomem.memories.ask import ask, relation_group
from geomem.memories.construct import construct_memory
from geomem.memories.edit import edit_fact, forget_fact
from geomem.memories.opened import open_memory
from geomem.models.configuration import Recall
from geomem.models.networks.recall import all_paths, compute_recall_logits, initialize_recall
from geomem.runs import directory, run
from geomem.runs.configuration import FactRecall, describe_configuration
from geomem.runs.directory import CURRENT, DONE, EDITED, MANIFEST, WEIGHTS, configuration_hash, locked_run
from geomem.runs.run import FACT_FILES, FACTS, holds_facts, read_run, write_run
from geomem.worlds.facts.changes import replace_fact, without_fact
from geomem.worlds.facts.families import many_to_one, partial_facts, random_bijections, random_permutations
from geomem.worlds.facts.hops import chain_answers
from geomem.worlds.facts.reader import facts_from
from geomem.worlds.facts.several_answers import numbered_relations
from geomem.worlds.facts.table import answers

TOWNS = numbered_relations(
    facts_from(
        [
            ("Italy", "capital", "Rome"),
            ("Italy", "borders", "France"),
            ("Italy", "borders", "Austria"),
            ("Italy", "language", "Italian"),
            ("France", "capital", "Paris"),
            ("France", "borders", "Italy"),
            ("Austria", "capital", "Vienna"),
            ("Austria", "borders", "Italy"),
            ("Austria", "language", "German"),
        ],
        name="towns",
        several=True,
    )
)


@pytest.fixture
def towns(tmp_path):
    return construct_memory(TOWNS, tmp_path / "towns")


def bare_weights(memory):
    return {name: array[0] for name, array in memory.weights().items()}


def as_trained(path, table, model, weights, seeds):
    """The same weights with a manifest that does not say that they were written down."""
    configuration = describe_configuration(table, FactRecall(), model, {"steps": 3}, seeds)
    manifest = {"format": 1, "name": "trained", "configuration": configuration}
    return write_run(
        path,
        manifest=manifest | {"hash": configuration_hash(configuration)},
        world=table,
        metrics={"recall": np.ones((1, len(seeds)))},
        metric_steps=np.array([3]),
        weights=weights,
    )


# Writing.


@pytest.mark.parametrize("code", ["binary", "signs", "sphere", "circle"])
def test_what_is_written_is_the_construction_and_recalls_every_fact(tmp_path, code):
    table = random_bijections(24, 3)
    memory = construct_memory(table, tmp_path / "new" / "memory", code=code, seed=4)
    expected = block_superposition(table, code=code, seed=4)
    for name, array in bare_weights(memory).items():
        np.testing.assert_array_equal(array, expected.weights[name])
    assert memory.table.digest == table.digest
    assert memory.model.width == expected.size.residual_size
    said = memory.manifest["recalled"]
    assert said["recall"] == 1
    assert said["margin"] == pytest.approx(expected.margin)
    assert said["facts"] == 72
    metrics = {name: values[0] for name, values in memory.final().items()}
    assert metrics == {"recall": 1.0, "margin": said["margin"]}
    # Our own model class says the same in torch, in single precision.
    assert recalled_facts(memory).all()
    assert sorted(path.name for path in memory.path.iterdir()) == sorted([*FACT_FILES, DONE])
    assert [path.name for path in memory.path.parent.iterdir()] == ["memory"]


@pytest.mark.parametrize("code", ["binary", "signs", "sphere", "circle"])
def test_the_smallest_width_is_named_and_works(tmp_path, code):
    table = many_to_one(9, 3, 6)
    with pytest.raises(
        InputError, match=r"^A width of 3 is too small for .* 'many.*give \d+ or more\.$"
    ) as caught:
        construct_memory(table, tmp_path / "memory", code=code, width=3)
    smallest = int(str(caught.value).split()[-3])
    with pytest.raises(InputError, match=f"width of {smallest - 1} is too small .* give {smallest} or more"):
        construct_memory(table, tmp_path / "memory", code=code, width=smallest - 1)
    assert list(tmp_path.iterdir()) == []
    memory = construct_memory(table, tmp_path / "memory", code=code, width=smallest)
    assert memory.model.width == smallest
    assert memory.manifest["recalled"]["recall"] == 1


def test_a_wider_memory_has_a_wider_margin_and_no_more_than_was_allowed(tmp_path):
    table = random_bijections(12, 2)
    narrow = construct_memory(table, tmp_path / "narrow")
    wide = construct_memory(table, tmp_path / "wide", width=39)
    assert narrow.model.width == smallest_width(table) == 14
    assert wide.model.width == 38  # 12 coordinates for each of 2 facts and the answer, and 2 flags
    assert wide.manifest["recalled"]["margin"] == pytest.approx(narrow.manifest["recalled"]["margin"])
    assert construct_memory(table, tmp_path / "one-off", width=37).model.width == 35


def test_beyond_the_limit_is_refused_before_anything_is_allocated(tmp_path):
    table = random_bijections(20_000, 8)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"would hold [\d,]+ numbers, 0\.\d GiB, more than the limit"):
            construct_memory(table, tmp_path / "memory", numbers_limit=100_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 20_000 * smallest_width(table) / 2  # the subject table alone would be twice this
    assert list(tmp_path.iterdir()) == []


def test_the_same_again_writes_nothing_and_another_is_refused(tmp_path, towns):
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in towns.path.iterdir()}
    assert construct_memory(TOWNS, towns.path).manifest == towns.manifest
    assert before == {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in towns.path.iterdir()}
    with pytest.raises(InputError, match="holds another memory; give a new directory"):
        construct_memory(TOWNS, towns.path, code="sphere")
    edit_fact(towns, "Italy", "capital", "Vienna")
    with pytest.raises(InputError, match="holds another memory"):
        construct_memory(TOWNS, towns.path)
    edit_fact(towns, "Italy", "capital", "Rome")  # the same facts again, but with a history
    with pytest.raises(InputError, match="holds another memory"):
        construct_memory(TOWNS, towns.path)


def test_a_place_that_is_taken_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes").write_text("mine")
    (tmp_path / "empty").mkdir()
    for name, complaint in (("file", "is a file"), ("full", "is not empty"), ("file/below", "could not be")):
        with pytest.raises(InputError, match=complaint):
            construct_memory(TOWNS, tmp_path / name)
    assert (tmp_path / "full" / "notes").read_text() == "mine"
    assert construct_memory(TOWNS, tmp_path / "empty").manifest["recalled"]["recall"] == 1


def test_a_long_construction_says_what_it_takes_and_how_far_it_is(tmp_path, capsys, monkeypatch):
    told = []
    construct_memory(random_bijections(700, 2), tmp_path / "one", on_progress=told.append)
    assert [step.asked for step in told] == sorted(step.asked for step in told)
    assert (told[0].asked, told[-1].asked, told[0].questions) == (0, 1400, 1400)
    assert len(told) > 2
    towns = []
    construct_memory(TOWNS, tmp_path / "two", on_progress=towns.append)
    assert (towns[0].asked, towns[-1].asked) == (0, towns[-1].questions)
    assert main(["construct", "random-bijections", "--subjects", "9", "--out", str(tmp_path / "three")]) == 0
    assert "asked" not in capsys.readouterr().err
    monkeypatch.setattr("geomem.cli.construct.LINE_SECONDS", -1.0)
    assert main(["construct", "random-bijections", "--subjects", "700", "--out", str(tmp_path / "four")]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(" memory")
    assert "questions are asked before the memory is kept: about" in lines[0]
    assert " asked, " in lines[1]


# Asking.


def test_every_fact_is_answered_and_what_is_no_fact_is_not(tmp_path):
    table = partial_facts(random_bijections(12, 3), 0.6)
    opened = open_memory(construct_memory(table, tmp_path / "memory"))
    for x, row in enumerate(answers(table).tolist()):
        for r, y in enumerate(row):
            expected = (table.objects[y],) if y >= 0 else ()
            assert ask(opened, table.subjects[x], table.relations[r]).answers == expected


def test_chains_equal_the_table_followed_by_hand(tmp_path):
    table = random_permutations(7, 2)
    opened = open_memory(construct_memory(table, tmp_path / "memory"))
    paths = all_paths(2, 3).numpy()
    for x in range(7):
        ends = chain_answers(table, np.full(8, x), paths)
        for path, end in zip(paths.tolist(), ends, strict=True):
            asked = ask(opened, table.subjects[x], *(table.relations[r] for r in path))
            assert asked.answers == (table.objects[end],)
            assert [step.answers for step in asked.steps][-1] == asked.answers
            assert [step.subject for step in asked.steps][1:] == [step.answers[0] for step in asked.steps][
                :-1
            ]


def test_several_answers_and_every_branch_of_a_chain(towns):
    assert relation_group(TOWNS, "borders") == (1, 2)
    assert ask(towns, "Italy", "borders").answers == ("France", "Austria")
    assert ask(towns, "Italy", "borders (2)").answers == ("Austria",)
    asked = ask(towns, "Italy", "borders", "capital")
    assert asked.answers == ("Paris", "Vienna")
    assert [(step.subject, step.relation, step.answers) for step in asked.steps] == [
        ("Italy", "borders", ("France", "Austria")),
        ("France", "capital", ("Paris",)),
        ("Austria", "capital", ("Vienna",)),
    ]
    # Both neighbours lead back; France has no language here, so one branch ends.
    assert ask(towns, "Italy", "borders", "borders").answers == ("Italy",)
    assert ask(towns, "Italy", "borders", "language").answers == ("German",)
    assert ask(towns, "France", "language").answers == ()
    assert ask(towns, "France", "language", "borders").answers == ()


def test_the_weights_answer_and_not_the_table(tmp_path, towns):
    """Weights of other facts beside the same table give the answers of the others."""
    other = replace_fact(TOWNS, 0, 0, TOWNS.object_ids["Vienna"])
    weights = construct_memory(other, tmp_path / "other")
    told = dict(towns.manifest)
    write_run(
        tmp_path / "mixed",
        manifest=told,
        world=TOWNS,
        metrics={"recall": np.ones((1, 1))},
        metric_steps=np.array([0]),
        weights=weights.weights(),
    )
    assert ask(tmp_path / "mixed", "Italy", "capital").answers == ("Vienna",)


def test_a_trained_memory_is_asked_run_by_run_and_only_what_it_was_taught(tmp_path):
    table = partial_facts(random_permutations(6, 2), 0.8)
    memory = construct_memory(table, tmp_path / "memory")
    weights = {name: np.concatenate([array, array]) for name, array in memory.weights().items()}
    weights[OBJECTS][1] = weights[OBJECTS][1][::-1]  # the second run has its objects in reverse
    trained = as_trained(tmp_path / "trained", table, memory.model, weights, [3, 5])
    found = answers(table)
    for seed, order in ((None, 1), (3, 1), (5, -1)):
        opened = open_memory(trained, seed=seed)
        for x, r in np.ndindex(found.shape):
            expected = (table.objects[::order][found[x, r]],) if found[x, r] >= 0 else ()
            assert ask(opened, table.subjects[x], table.relations[r]).answers == expected
    with pytest.raises(InputError, match="no run of seed 4; its seeds are 3, 5"):
        open_memory(trained, seed=4)


def test_a_memory_of_chains_answers_them_as_a_whole(tmp_path):
    table = random_permutations(5, 2)
    model = Recall(width=6, mlp_width=8, hops=2)
    from geomem.runs.run import memory_size

    parameters = initialize_recall([model], [memory_size(table)], seeds=[0])
    weights = {name: tensor.numpy() for name, tensor in parameters.items()}
    memory = as_trained(tmp_path / "chains", table, model, weights, [0])
    best = compute_recall_logits(model, parameters, all_paths(2, 2)).argmax(dim=-1)[0]
    for x in range(5):
        for number, path in enumerate(all_paths(2, 2).tolist()):
            asked = ask(memory, table.subjects[x], *(table.relations[r] for r in path))
            assert asked.answers == (table.objects[best[x, number]],)
            assert len(asked.steps) == 1
    with pytest.raises(InputError, match="answers chains of 2 relations as a whole, and 1 was given; give 2"):
        ask(memory, "e0", "r0")


# Changing.


@settings(max_examples=12)
@given(st.data())
def test_a_change_moves_one_vector_and_no_other_answer(tmp_path_factory, data):
    subjects, relations = data.draw(st.integers(2, 6)), data.draw(st.integers(1, 3))
    table = many_to_one(
        subjects, relations, data.draw(st.integers(2, 7)), world_seed=data.draw(st.integers(0, 99))
    )
    table = partial_facts(table, data.draw(st.sampled_from([0.7, 1.0])))
    path = tmp_path_factory.mktemp("memories") / "memory"
    code = data.draw(st.sampled_from(["binary", "signs", "sphere", "circle"]))
    memory = construct_memory(table, path, code=code)
    old = bare_weights(memory)
    x, r = data.draw(st.integers(0, subjects - 1)), data.draw(st.integers(0, relations - 1))
    y = data.draw(st.integers(0, table.object_count - 1))
    before = int(answers(table)[x, r])
    names = (table.subjects[x], table.relations[r])
    if before >= 0 and table.fact_count > 1 and data.draw(st.booleans()):
        effect, expected = forget_fact(memory, *names), without_fact(table, x, r)
        assert effect.after is None
    elif before != y:
        effect, expected = edit_fact(memory, *names, table.objects[y]), replace_fact(table, x, r, y)
        assert effect.after == table.objects[y]
    else:
        with pytest.raises(InputError, match="already; give another object"):
            edit_fact(memory, *names, table.objects[y])
        return
    assert effect.before == (table.objects[before] if before >= 0 else None)
    assert (effect.changed_answers, effect.largest_shift) == (0, 0.0)
    assert effect.other_facts == table.fact_count - (before >= 0)
    new = read_run(path)
    assert new.table.digest == expected.digest
    weights = bare_weights(new)
    for name, array in old.items():
        differs = np.argwhere(weights[name] != array)
        assert name == SUBJECTS or not len(differs)
        assert set(differs[:, 0].tolist()) <= {x} if name == SUBJECTS else True
    assert effect.changed_numbers == (weights[SUBJECTS] != old[SUBJECTS]).sum()
    # Every other question, a fact or not: the same logits to the last bit.
    asked = np.argwhere(np.ones((subjects, relations), dtype=bool))
    others = asked[(asked[:, 0] != x) | (asked[:, 1] != r)]
    for question in others:
        one = (question[:1], question[1:])
        np.testing.assert_array_equal(recall_logits(weights, *one), recall_logits(old, *one))
    opened = open_memory(new)
    for (a, b), c in np.ndenumerate(answers(expected)):
        said = ask(opened, table.subjects[a], table.relations[b]).answers
        assert said == ((table.objects[c],) if c >= 0 else ())


def test_changes_stand_in_the_manifest_and_the_hash_is_that_of_the_facts(tmp_path, towns):
    edit_fact(towns.path, "Austria", "language", "Italian")
    edit_fact(towns.path, "France", "language", "German")  # a question that had no answer
    forget_fact(towns.path, "Italy", "borders")
    memory = read_run(towns.path)
    told = [
        tuple(edit[part] for part in ("subject", "relation", "before", "after"))
        for edit in memory.manifest["edits"]
    ]
    assert told == [
        ("Austria", "language", "German", "Italian"),
        ("France", "language", None, "German"),
        ("Italy", "borders", "France", None),
    ]
    configuration = memory.manifest["configuration"]
    assert memory.manifest["hash"] == configuration_hash(configuration) != towns.manifest["hash"]
    assert configuration["world"] == {"name": "towns", "digest": memory.table.digest}
    assert memory.manifest["recalled"] | {"entropy_bits": 0} == {
        "facts": 9, "recall": 1.0, "margin": towns.manifest["recalled"]["margin"], "entropy_bits": 0,
    }  # fmt: skip
    assert memory.steps.tolist() == [3]
    assert ask(memory, "Italy", "borders").answers == ("Austria",)  # the second of its answers is left
    # An edited memory is what its facts written down are.
    again = construct_memory(memory.table, tmp_path / "again")
    for name, array in memory.weights().items():
        np.testing.assert_array_equal(array, again.weights()[name])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("Italien", "capital", "Rome"), "no subject 'Italien'; did you mean Italy?"),
        (("Italy", "capitol", "Rome"), "no relation 'capitol'; did you mean capital?"),
        (("Italy", "capital", "Romme"), "no object 'Romme'; did you mean Rome?"),
        (
            ("Italy", "capital", "Berlin"),
            "an edit gives one of its 8, so construct the memory anew to add one",
        ),
        (("Italy", "capital", "Rome"), "'Italy', 'capital' with 'Rome' already; give another object"),
        (("France", "language"), "no answer to 'France', 'language'; name a fact that it has"),
    ],
)
def test_a_change_that_cannot_be_meant_writes_nothing(towns, change, complaint):
    before = {path.name: path.read_bytes() for path in towns.path.iterdir()}
    with pytest.raises(InputError) as caught:
        (edit_fact if len(change) == 3 else forget_fact)(towns, *change)
    assert complaint in str(caught.value)
    assert {path.name: path.read_bytes() for path in towns.path.iterdir()} == before


def test_the_last_fact_stays(tmp_path):
    memory = construct_memory([("Italy", "capital", "Rome")], tmp_path / "memory")
    with pytest.raises(InputError, match="has no fact; give at least one"):
        forget_fact(memory, "Italy", "capital")
    assert ask(memory, "Italy", "capital").answers == ("Rome",)


def test_a_trained_memory_is_not_edited(tmp_path, towns):
    trained = as_trained(tmp_path / "trained", TOWNS, towns.model, towns.weights(), [0])
    for change in (
        lambda: edit_fact(trained, "Italy", "capital", "Paris"),
        lambda: forget_fact(trained, "Italy", "capital"),
    ):
        with pytest.raises(
            InputError, match="was trained, and there a fact is no part of one subject vector"
        ):
            change()


def test_one_process_at_a_time(tmp_path, towns):
    with (
        locked_run(towns.path),
        pytest.raises(InputError, match=r"Another process is writing .*towns now; wait"),
    ):
        edit_fact(towns, "Italy", "capital", "Paris")
    with pytest.raises(InputError, match="does not exist"):
        edit_fact(tmp_path / "nothing", "Italy", "capital", "Paris")
    assert not (tmp_path / "nothing").exists()


def test_the_same_change_once_more_changes_nothing(towns):
    """As a person does who cannot know whether the killed command had ended."""
    for _ in range(2):
        edit_fact(towns, "Italy", "capital", "Vienna")
        forget_fact(towns, "Austria", "language")
    again = edit_fact(towns, "Italy", "capital", "Vienna")
    assert (again.before, again.after, again.changed_vectors) == ("Vienna", "Vienna", ())
    assert forget_fact(towns, "Austria", "language").after is None
    assert len(read_run(towns.path).manifest["edits"]) == 2
    with pytest.raises(InputError, match="'France', 'capital' with 'Paris' already; give another object"):
        edit_fact(towns, "France", "capital", "Paris")  # no edit made it so
    with pytest.raises(InputError, match="has no answer to 'France', 'language'"):
        forget_fact(towns, "France", "language")


def test_a_reader_beside_edits_sees_the_old_or_the_new(towns, monkeypatch):
    """The version that a reader was about to read goes while it reads."""
    read, pending = directory.read_json, ["Vienna", "Paris"]

    def edited_meanwhile(path, **options):
        if path.name == FACTS and pending:
            edit = pending.pop()
            with monkeypatch.context() as patch:
                patch.setattr(run, "read_json", read)
                edit_fact(towns.path, "Italy", "capital", edit)
        return read(path, **options)

    monkeypatch.setattr(run, "read_json", edited_meanwhile)
    memory = read_run(towns.path)
    monkeypatch.undo()
    assert (memory.version, ask(memory, "Italy", "capital").answers) == ("version-2", ("Vienna",))
    edit_fact(towns.path, "Italy", "capital", "Rome")
    assert ask(memory, "Italy", "capital").answers == ("Vienna",)  # it holds what it has read


def test_the_other_version_is_read_where_the_current_one_is_damaged(towns, caplog):
    edit_fact(towns.path, "Italy", "capital", "Vienna")
    shutil.copytree(towns.path / "version-1", towns.path / "version-2")
    edited = towns.path / "version-1" / WEIGHTS
    edited.write_bytes(edited.read_bytes()[:-1])
    assert ask(towns.path, "Italy", "capital").answers == ("Vienna",)
    assert "version-1/weights.safetensors is damaged" in caplog.text
    assert "What is in" in caplog.text
    with pytest.raises(InputError, match=r"copy .*version-2 to another directory and change that"):
        edit_fact(towns.path, "Italy", "capital", "Paris")
    shutil.rmtree(towns.path / "version-2")
    with pytest.raises(InputError) as caught:
        read_run(towns.path)
    assert "its facts can still be read in" in str(caught.value)
    assert "delete" not in str(caught.value)


def test_what_an_earlier_geomem_left_of_an_edit_is_read_and_settled(tmp_path, towns):
    """Its next version lay in `.edited`, complete from its `DONE` on, while its files were copied."""
    edited = edit_fact(construct_memory(TOWNS, tmp_path / "other"), "Italy", "capital", "Vienna")
    shutil.copytree(tmp_path / "other" / "version-1", towns.path / EDITED)
    shutil.copy(towns.path / EDITED / FACTS, towns.path / FACTS)  # old and new mixed
    (towns.path / f"{WEIGHTS}.partial").write_text("half")
    assert ask(towns.path, "Italy", "capital").answers == (edited.after,)
    assert holds_facts(towns.path)
    edit_fact(towns.path, "Italy", "capital", "Vienna")
    edit_fact(towns.path, "Italy", "capital", "Paris")
    assert {entry.name for entry in towns.path.iterdir()} == {CURRENT, "version-1"}
    assert [edit["after"] for edit in read_run(towns.path).manifest["edits"]] == ["Vienna", "Paris"]


def test_an_unfinished_edit_of_an_earlier_geomem_goes(towns):
    for name in (EDITED, f"{EDITED}.partial"):
        (towns.path / name).mkdir()
        (towns.path / name / FACTS).write_text("half")
    assert ask(towns.path, "Italy", "capital").answers == ("Rome",)
    forget_fact(towns.path, "Italy", "capital")
    assert {entry.name for entry in towns.path.iterdir()} == {CURRENT, "version-1"}


def test_what_a_killed_edit_and_its_libraries_left_goes(towns):
    half = towns.path / ".geomem-0123456789abcdef.partial" / "version-1"
    half.mkdir(parents=True)
    (half / ".tmpLXkN1n").write_text("of safetensors")
    edit_fact(towns.path, "Italy", "capital", "Vienna")
    assert {entry.name for entry in towns.path.iterdir()} == {CURRENT, "version-1"}


@pytest.mark.parametrize("name", [".DS_Store", "._manifest.json", "Thumbs.db", "Desktop.ini"])
def test_what_file_browsers_leave_hinders_no_edit(towns, name):
    (towns.path / name).write_text("icons")
    edit_fact(towns.path, "Italy", "capital", "Vienna")
    (towns.path / "version-1" / name).write_text("icons")
    forget_fact(towns.path, "Italy", "capital")
    assert {entry.name for entry in towns.path.iterdir()} == {CURRENT, "version-2", name}
    (towns.path / name).unlink()
    (towns.path / name).symlink_to(towns.path / CURRENT)
    with pytest.raises(InputError, match="is a link"):
        edit_fact(towns.path, "Italy", "capital", "Vienna")


@pytest.mark.parametrize("name", [EDITED, "version-1", CURRENT, "facts.json.partial", ".edited.partial", "x"])
def test_a_stranger_cannot_lead_out_of_the_directory(tmp_path, towns, name):
    """Links and what is not of geomem are refused before anything is written; victims stay as they are."""
    other = construct_memory(random_bijections(4, 2), tmp_path / "other")
    before = {path: path.read_bytes() for path in other.path.iterdir()}
    (towns.path / name).symlink_to(other.path)
    complaint = r"is a link or was not written|does not name a version|not a plain"
    with pytest.raises(InputError, match=complaint):
        edit_fact(towns, "Italy", "capital", "Paris")
    (towns.path / name).unlink()
    if not name.endswith(".partial"):
        (towns.path / name).write_text("version-1\n")
        with pytest.raises(InputError, match=complaint):
            edit_fact(towns, "Italy", "capital", "Paris")
        (towns.path / name).unlink()
    assert read_run(towns.path).table.digest == TOWNS.digest
    assert {path: path.read_bytes() for path in other.path.iterdir()} == before


@pytest.mark.parametrize(
    "text", ["", "..", "../other", "version-0", "version-2\nversion-3", "a" * 65, "\udcff"]
)
def test_a_stranger_cannot_name_another_version(tmp_path, towns, text):
    construct_memory(random_bijections(4, 2), tmp_path / "other")
    (towns.path / CURRENT).write_text(text, errors="surrogateescape")
    for change in (
        lambda: ask(towns.path, "Italy", "capital"),
        lambda: forget_fact(towns.path, "Italy", "capital"),
        lambda: construct_memory(TOWNS, towns.path),
    ):
        with pytest.raises(InputError, match="CURRENT is damaged"):
            change()


@pytest.mark.parametrize("margin", [None, 0.0, -1.0, "0.5", 1, True])
def test_a_construction_without_its_margin_is_damaged(tmp_path, towns, margin):
    manifest = json.loads((towns.path / MANIFEST).read_text())
    configuration = manifest["configuration"]
    configuration["training"]["margin"] = margin
    write_run(
        tmp_path / "altered",
        manifest=manifest | {"hash": configuration_hash(configuration)},
        world=TOWNS,
        metrics={"recall": np.ones((1, 1))},
        metric_steps=np.array([0]),
        weights=towns.weights(),
    )
    with pytest.raises(InputError, match=r"manifest.json is damaged \(its construction states no margin\)"):
        ask(tmp_path / "altered", "Italy", "capital")


def test_weights_that_are_not_numbers_are_damaged(tmp_path, towns):
    weights = towns.weights()
    weights[SUBJECTS][0, 0, 0] = np.nan
    write_run(
        tmp_path / "altered",
        manifest=towns.manifest,
        world=TOWNS,
        metrics={"recall": np.ones((1, 1))},
        metric_steps=np.array([0]),
        weights=weights,
    )
    for question in (
        lambda path: ask(path, "Italy", "capital"),
        lambda path: forget_fact(path, "Italy", "capital"),
    ):
        with pytest.raises(InputError, match="subject_embedding holds numbers that are not finite"):
            question(tmp_path / "altered")
    assert (tmp_path / "altered" / FACTS).exists()


def test_memory_answers_agrees_with_ask(towns):
    """The class of the trained models reads what was written down."""
    found = memory_answers(towns)
    subject, relation, target = TOWNS.facts.T
    np.testing.assert_array_equal(found.objects[0, subject, relation], target)
