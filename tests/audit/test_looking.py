"""Models of transformers are read as they compute: states against their own, one prompt at a time."""

import json
import shutil

import numpy as np
import pytest
from tiny_models import write_model

from geomem.checkpoints.export import export_run
from geomem.cli import main
from geomem.errors import InputError
from geomem.measure.edges import measure_fleet, measure_vectors
from geomem.models.configuration import Transformer
from geomem.runs.edges import memorize
from geomem.training.configuration import Training
from geomem.worlds.graphs.atlas import europe
from geomem.worlds.graphs.families import grid

transformers = pytest.importorskip("transformers", reason="needs transformers, of the extra hf")
torch = pytest.importorskip("torch")

from geomem.audit.answering import answer_questions, answer_with_states, subject_states, write_questions  # noqa: E402
from geomem.audit.looking import check_model, collect_states  # noqa: E402
from geomem.audit.model import audit_model  # noqa: E402
from geomem.audit.opening import open_model, reinitialized  # noqa: E402
from geomem.audit.prompts import EDGE_TEMPLATES, TEMPLATES  # noqa: E402
from geomem.audit.source import Reading, object_states, read_source  # noqa: E402

KINDS = ("gpt2", "llama", "bert", "mamba")
NAMES = (*map(str, range(16)), "North Dak", "South Dak", "North")
SENTENCES = (*TEMPLATES[:2], "The country of {} .")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder and network of every kind."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    return {kind: (folder, write_model(folder, kind, NAMES)) for kind, folder in folders.items()}


@pytest.fixture(scope="module")
def opened(written):
    return {kind: open_model(folder) for kind, (folder, _) in written.items()}


@torch.inference_mode()
def own_states(network, tokenizer, text):
    """Hidden states as the model returns them, [token, width] each."""
    tokens = tokenizer(text, return_tensors="pt")["input_ids"]
    hidden = network.base_model(input_ids=tokens, output_hidden_states=True).hidden_states
    return [state[0] for state in hidden]


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_that_the_model_returns(written, opened, kind):
    network, model = written[kind][1], opened[kind]
    checks = check_model(model, NAMES, SENTENCES[0])
    assert checks.batched < 1e-5
    assert checks.shares_prefix == (kind in ("gpt2", "llama"))
    assert (checks.head is None) == (kind == "bert")
    assert checks.head is None or checks.head < 1e-6
    shares = checks.shares_prefix
    last = collect_states(model, NAMES, templates=SENTENCES, shares_prefix=shares)
    mean = collect_states(model, NAMES, templates=SENTENCES, position="mean of tokens", shares_prefix=shares)
    names = [layer.name for layer in last.layers]
    blocks = model.folder.configuration["num_hidden_layers" if kind != "gpt2" else "n_layer"]
    assert names[: blocks + 1] == ["input embedding", *(f"block {at}" for at in range(1, blocks + 1))]
    assert ("final norm" in names) == (kind != "bert")
    assert ("output embedding" in names) == (kind == "llama")
    for at, template in enumerate(SENTENCES):
        start = template.split("{}")[0].split()
        for entity in (0, 16, 18):
            words = len(NAMES[entity].split())
            begin = len(start) + (kind == "bert")
            own = own_states(network, model.tokenizer, template.replace("{}", NAMES[entity]))
            for states, places in ((last, [begin + words - 1]), (mean, range(begin, begin + words))):
                found = {layer.name: layer.vectors for layer in states.layers}
                for place in range(1, blocks):
                    # Mamba's begin with the first block, the others' with what goes into it.
                    expected = own[place - (kind == "mamba")][list(places)].mean(dim=0).numpy()
                    np.testing.assert_allclose(
                        found[f"block {place}"][at, entity], expected, rtol=1e-5, atol=2e-5
                    )
                expected = own[-1][list(places)].mean(dim=0).numpy()
                top = found.get("final norm", found[f"block {blocks}"])
                np.testing.assert_allclose(top[at, entity], expected, rtol=1e-5, atol=2e-5)


def test_the_embeddings_are_those_of_the_name(written, opened):
    network, model = written["llama"][1], opened["llama"]
    states = collect_states(model, NAMES, templates=SENTENCES, position="mean of tokens")
    rows = model.tokenizer("North Dak")["input_ids"]
    layers = {layer.name: layer.vectors for layer in states.layers}
    at = NAMES.index("North Dak")
    for name, table in (
        ("input embedding", network.get_input_embeddings()),
        ("output embedding", network.get_output_embeddings()),
    ):
        assert np.allclose(layers[name][0, at], table.weight[rows].mean(dim=0).detach().numpy())


def test_the_last_block_is_before_the_final_norm(written, opened):
    network, model = written["gpt2"][1], opened["gpt2"]
    layers = {layer.name: layer.vectors for layer in collect_states(model, NAMES, templates=SENTENCES).layers}
    with torch.inference_mode():
        normed = network.transformer.ln_f(torch.tensor(layers["block 3"])).numpy()
    np.testing.assert_allclose(layers["final norm"], normed, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_twins_are_other_weights_of_the_same_places(opened, kind):
    model = opened[kind]
    first, again, other = (
        collect_states(reinitialized(model, seed), NAMES, templates=SENTENCES) for seed in (1, 1, 2)
    )
    own = collect_states(model, NAMES, templates=SENTENCES)
    assert [layer.name for layer in first.layers] == [layer.name for layer in own.layers]
    for one, same, two, three in zip(first.layers, again.layers, other.layers, own.layers, strict=True):
        assert np.array_equal(one.vectors, same.vectors)
        assert not np.allclose(one.vectors, two.vectors)
        assert not np.allclose(one.vectors, three.vectors)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_the_models_own(written, opened, kind):
    network, model = written[kind][1], opened[kind]
    candidates = ("3", "North Dak", "7", "North")
    answers = answer_questions(model, "The capital of {} is {} .", NAMES, candidates)
    assert answers.same_first.tolist() == [0, 1, 2, 1]
    first = [
        model.tokenizer(name.split()[0], add_special_tokens=False)["input_ids"][0] for name in candidates
    ]
    for at in (0, 16):
        text = f"The capital of {NAMES[at]} is"
        text += " [MASK] ." if kind == "bert" else ""
        tokens = model.tokenizer(text, return_tensors="pt")["input_ids"]
        place = -3 if kind == "bert" else -1
        with torch.inference_mode():
            logits = network(input_ids=tokens).logits[0, place]
        best = int(logits.argmax())
        assert answers.said[at] == model.tokenizer.decode([best])
        assert answers.top[at] == (answers.same_first[first.index(best)] if best in first else -1)
        assert answers.among[at] == answers.same_first[int(logits[first].argmax())]


@pytest.mark.parametrize("kind", KINDS)
def test_another_state_in_a_subjects_place_is_asking_for_the_other(opened, kind):
    """What is read of the subject alone; where the answer follows it at once, after every block too."""
    model, names = opened[kind], [*map(str, range(16)), "North Dak", "South Dak"]
    asked = np.arange(len(names))
    for template in ("The capital of {} is {} .", "The capital of {} {}"):
        questions = write_questions(model, template, names, names)
        answers = answer_questions(model, template, names, names, kept=names)
        follows = template.endswith("{} {}") and kind != "bert"
        layers = range(len(model.blocks) + 1) if follows else (0,)
        for layer in layers:
            states = subject_states(model, questions, layer)
            same = answer_with_states(model, questions, layer, asked, states)
            np.testing.assert_array_equal(same, answers.among)
            # Of two names of two words each that end alike, the embedding of the last word is the same.
            turned = np.array([*range(15, -1, -1), *asked[16:]])
            other = answer_with_states(model, questions, layer, asked, states[turned])
            np.testing.assert_array_equal(other, answers.among[turned])
            if follows and layer:
                np.testing.assert_allclose(states, answers.states[layer - 1], rtol=1e-5, atol=2e-5)


def test_a_planted_map_is_found_and_no_other(tmp_path):
    """Node embeddings of an untrained GPT-2 are moved onto a grid, as a model that holds it has them."""
    world = grid(6, 6)
    network = write_model(tmp_path, "gpt2", world.labels)
    assert audit_model(tmp_path, world, twin_count=1, permutations=99).audit.word == "no geometry"
    places = np.stack(np.divmod(np.arange(36), 6), axis=1) - 2.5
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(32, 2)))[0]
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    rows = tokenizer.convert_tokens_to_ids(list(world.labels))
    with torch.no_grad():
        network.transformer.wte.weight[rows] += torch.tensor(places @ directions.T).float()
    network.save_pretrained(tmp_path)
    found = audit_model(tmp_path, world, twin_count=1, permutations=99)
    assert found.audit.word == "geometry"
    assert any("agree" in note for note in found.notes)
    embedding = next(look for look in found.audit.looks if look.layer == "input embedding")
    vectors = network.transformer.wte.weight[rows].detach().numpy()
    portrait = measure_vectors(vectors[None], world)
    assert np.allclose(embedding.profile.shells, portrait.centred_shells[0, :3], atol=1e-5)


def test_the_command_line_prints_profile_word_and_json(tmp_path, capsys):
    world = grid(4, 5)
    write_model(tmp_path, "gpt2", world.labels)
    given = ["audit", str(tmp_path), "--graph", "grid", "--rows", "4", "--columns", "5", "--twins", "1"]
    given += ["--permutations", "19", "--question", "The country that borders {} is {}"]
    assert main(given) == 0
    said = capsys.readouterr()
    assert all(word in said.out for word in ("block 3", "final norm", "re-initialised twins:", "Word:"))
    assert "Check: 20 prompts alone and in a batch" in said.out
    assert "twin 1 of 1" in said.err
    page = tmp_path / "audit.html"
    assert main([*given, "--figures", str(tmp_path)]) == 2
    assert "--figures is about the pictures of the report" in capsys.readouterr().err
    assert main([*given, "--json", "--out", str(page)]) == 0
    said = capsys.readouterr()
    content = json.loads(said.out)
    assert said.err.endswith(f"{page}\n")
    text = page.read_text(encoding="utf-8")
    assert "--question &#39;The country that borders {} is {}&#39;" in text
    assert "Asked: &#39;The country" in text
    assert len(content["looks"]) == 1 + 4 * len(TEMPLATES)
    assert content["entities"] == sorted(world.labels)
    said = content["behaviour"]
    assert sum(answer["right"] for answer in said["answers"]) == said["right"]
    assert set(said["answers"][0]["wanted"]) == {"1.2", "2.1"}


def test_facts_are_asked_and_mapped(tmp_path, capsys):
    folder = tmp_path / "model"
    folder.mkdir()
    towns = [f"town{at}" for at in range(12)]
    write_model(folder, "llama", [*NAMES, *towns])
    lines = [f"{at}\tcapital\ttown{at}" for at in range(12)]
    (tmp_path / "facts.tsv").write_text("\n".join(lines) + "\n")
    given = ["audit", str(folder), "--facts", str(tmp_path / "facts.tsv"), "--twins", "1"]
    assert main(given) == 0
    said = capsys.readouterr().out
    assert "Asked: 'The capital of {} is {}'" in " ".join(said.split())
    assert "capital: " in said
    assert main([*given, "--question", "capitol=The capital of {} is {}"]) == 2
    assert "'capitol' is no relation" in capsys.readouterr().err


def test_objects_are_the_first_tokens_of_the_head(written):
    folder, network = written["llama"]
    source = read_source(folder, NAMES)
    objects, _ = object_states(source, ("North Dak", "unknown"), Reading())
    assert objects.entities == ("North Dak",)
    row = source.model.tokenizer("North")["input_ids"][0]
    head = network.get_output_embeddings().weight[row].detach().numpy()
    assert np.allclose(objects.layers[0].vectors[0, 0], head)


def test_a_model_trained_on_edges_is_asked_as_it_was_trained(tmp_path):
    write_model(tmp_path, "gpt2", ["[EDGE]", *NAMES])
    source = read_source(tmp_path, NAMES[:5])
    assert source.states.templates == EDGE_TEMPLATES


def test_an_exported_run_reads_as_the_run(tmp_path):
    """The audit of what was exported has the numbers of `geomem measure` on the run."""
    world = europe()
    training = Training(steps=20)
    run = memorize(
        world, model=Transformer(width=16), training=training, seeds=1, directory=tmp_path / "runs"
    )
    export_run(run, tmp_path / "folder")
    found = audit_model(tmp_path / "folder", world, twin_count=0, permutations=19)
    assert found.source.states.templates == EDGE_TEMPLATES
    assert len(found.audit.entities) == world.node_count
    embedding = next(look for look in found.audit.looks if look.layer == "input embedding")
    portrait = measure_fleet(run)
    assert np.allclose(embedding.profile.shells, portrait.centred_shells[0, :3], atol=1e-5)
    assert np.allclose(embedding.profile.raw_shells, portrait.shells[0, :3], atol=1e-5)
    rank = next(entry for entry in portrait.measurements if entry.name == "effective_rank")
    assert np.isclose(embedding.profile.effective_rank, rank.values[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"model_type": "nothing"}, "cannot be opened by transformers"),
        ({"n_layer": 10**9}, "describes no model"),
        ({"vocab_size": 10**10}, "describes 320,000,"),
        ({"n_embd": 31}, "describes no model"),
        ({"n_layer": 5}, "lack 24 arrays of GPT2LMHeadModel"),
        ({"n_inner": 64}, "cannot be opened by transformers"),
    ],
)
def test_configurations_that_do_not_fit_the_weights(written, tmp_path, change, complaint):
    shutil.copytree(written["gpt2"][0], tmp_path, dirs_exist_ok=True)
    configuration = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(configuration | change))
    with pytest.raises(InputError, match=complaint) as caught:
        open_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_model_of_pictures(written, tmp_path):
    shutil.copytree(written["gpt2"][0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text('{"model_type": "vit", "architectures": ["ViTModel"]}')
    with pytest.raises(InputError, match="no decoder or encoder of text"):
        open_model(tmp_path)


def test_a_model_larger_than_memory(written, monkeypatch):
    monkeypatch.setattr("geomem.audit.opening.available_memory", lambda device: 1000)
    with pytest.raises(InputError, match=r"take 0\.0 GiB in float32 and 0\.0 are free; give a smaller model"):
        open_model(written["gpt2"][0])


def test_names_that_cannot_be_looked_up(opened):
    model = opened["gpt2"]
    states = collect_states(model, ("1", "nowhere", "North"), templates=TEMPLATES)
    assert states.entities == ("1", "North")
    with pytest.raises(InputError, match="knows none of the 1 names"):
        collect_states(model, ("nowhere",), templates=TEMPLATES)
    with pytest.raises(InputError, match="knows none of the 1 names"):
        check_model(model, ("nowhere",), TEMPLATES[0])
    with pytest.raises(InputError, match="A prompt has 35 tokens and the model takes 24"):
        collect_states(model, (" ".join(["North"] * 30),), templates=TEMPLATES)
