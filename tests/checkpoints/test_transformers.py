"""What `export` writes for transformers, opened by the installed transformers: the same logits.

transformers is imported here and in no other test of checkpoints, for that takes seconds.
"""

import os

import numpy as np
import pytest
import torch

from geomem.checkpoints.export import export_run
from geomem.checkpoints.import_ import import_checkpoint
from geomem.models.configuration import Mamba, Recall, Transformer
from geomem.models.model import compute_logits
from geomem.models.networks.recall import all_paths, compute_recall_logits
from geomem.runs.facts import learn_facts
from geomem.training.configuration import RecallTraining
from geomem.worlds.facts.families import disjoint_bijections, random_permutations
from geomem.worlds.graphs.atlas import europe
from geomem.worlds.graphs.families import path_star
from geomem.worlds.path_finding import PathFinding
from geomem.worlds.vocabulary import Vocabulary
from shifted_runs import shifted_run

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers", reason="needs the extra hf")

PUBLISHED = {"residual": True, "norm": "root-mean-square", "final_norm": True}
MODELS = {
    "tied, learned": Transformer(layers=2, width=16, heads=4),
    "untied, sinusoidal": Transformer(width=12, heads=2, positions="sinusoidal", tied=False),
    "no positions": Transformer(layers=2, width=8, positions="none"),
    "no attention": Transformer(width=8, attention=False),
    "mamba": Mamba(layers=2, width=16, **PUBLISHED),
    "mamba, untied": Mamba(width=40, state_size=4, convolution=3, expansion=3, tied=False, **PUBLISHED),
}
STAR = path_star(arms=4, length=4)
LENGTH = 8
SEEDED = torch.Generator().manual_seed(5)


def opened(folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    return model.eval()


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_ours_and_come_back(tmp_path, name):
    run = shifted_run(MODELS[name], STAR, tmp_path, task=PathFinding())
    theirs = opened(export_run(run, tmp_path / "exported").path)
    parameters = {key: torch.tensor(array) for key, array in run.weights().items()}
    prompts = torch.randint(0, Vocabulary(STAR.labels).size, (50, LENGTH), generator=SEEDED)
    with torch.no_grad():
        logits = theirs(prompts).logits
    for length in range(1, LENGTH + 1):
        ours = compute_logits(run.model, parameters, prompts[:, :length])[0]
        np.testing.assert_allclose(logits[:, length - 1], ours, atol=1e-4)
    theirs.save_pretrained(tmp_path / "again")
    (tmp_path / "exported" / "tokenizer.json").rename(tmp_path / "again" / "tokenizer.json")
    back = import_checkpoint(tmp_path / "again", STAR, task=PathFinding(), directory=tmp_path)
    np.testing.assert_array_equal(back.embeddings(), run.embeddings())
    for metric, values in back.final().items():
        np.testing.assert_allclose(values, run.final()[metric], atol=1e-5, err_msg=metric)


@pytest.mark.parametrize(
    "model",
    [
        Recall(width=8, mlp_width=20, layer_norm=True),
        Recall(width=6, mlp_width=0, layer_norm=True, attention="uniform"),
        Recall(width=8, mlp_width=12, layers=2, layer_norm=True, tied=True),
    ],
    ids=repr,
)
def test_a_memory_that_normalises_answers_as_ours(tmp_path, model):
    table = random_permutations(6, 3) if model.tied else disjoint_bijections(6, 3)
    memory = learn_facts(table, model=model, training=RecallTraining(steps=50), seeds=1, directory=tmp_path)
    folder = export_run(memory, tmp_path / "exported").path
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    questions = [f"{subject}\t{relation}" for subject in table.subjects for relation in table.relations]
    with torch.no_grad():
        logits = opened(folder)(**tokenizer(questions, return_tensors="pt")).logits[:, -1]
    parameters = {key: torch.tensor(array) for key, array in memory.weights().items()}
    ours = compute_recall_logits(model, parameters, all_paths(3, 1))[0].flatten(0, 1)
    rows = tokenizer.convert_tokens_to_ids(list(table.objects))
    np.testing.assert_allclose(logits[:, rows], ours, atol=1e-4)
    others = sorted(set(range(len(tokenizer))) - set(rows))
    assert not logits[:, others].any()


def test_the_exact_gelu_would_show(tmp_path):
    """The bound of 1e-4 tells the tanh of GPT-2 from the exact function."""
    run = shifted_run(Transformer(layers=2, width=32, heads=4), STAR, tmp_path, task=PathFinding())
    theirs = opened(export_run(run, tmp_path / "exported").path)
    prompts = torch.randint(0, STAR.node_count, (50, LENGTH), generator=SEEDED)
    with torch.no_grad():
        before = theirs(prompts).logits
        for block in theirs.transformer.h:
            block.mlp.act = torch.nn.GELU()
        assert (theirs(prompts).logits - before).abs().max() > 1e-4


def test_the_tokenizer_takes_labels_whole_and_knows_no_others(tmp_path):
    world = europe()
    folder = export_run(shifted_run(Transformer(width=8), world, tmp_path), tmp_path / "exported").path
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "again")
    words = Vocabulary(world.labels)
    for place in (folder, tmp_path / "again"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(place)
        for label in world.labels:
            assert tokenizer(f"[EDGE]\t{label}").input_ids == [
                words.token("[EDGE]"),
                world.labels.index(label),
            ]
        assert tokenizer("Atlantis").input_ids == [words.token("[PAD]")]
        assert tokenizer.convert_ids_to_tokens([words.token("|")]) == ["|"]
        batch = tokenizer(["Albania", "[EDGE]\tAlbania"], padding=True)
        assert batch.input_ids[0] == [0, words.token("[PAD]")]
        assert batch.attention_mask[0] == [1, 0]


def test_transformer_lens_opens_the_folder(tmp_path):
    bridge = pytest.importorskip("transformer_lens.model_bridge").TransformerBridge
    run = shifted_run(Transformer(layers=2, width=16, heads=4), STAR, tmp_path, task=PathFinding())
    folder = export_run(run, tmp_path / "exported").path
    prompts = torch.randint(0, STAR.node_count, (50, LENGTH), generator=SEEDED)
    with torch.no_grad():
        logits = bridge.boot_transformers(str(folder))(prompts)
        np.testing.assert_allclose(logits, opened(folder)(prompts).logits, atol=1e-4)
