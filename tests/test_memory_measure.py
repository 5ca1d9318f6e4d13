import numpy as np
import pytest

from block_superposition import binary_codes, block_superposition, random_answers
from geomem.measure.facts import draw_portrait, measure_memory
from geomem.measure.probes import load_network
from geomem.measure.recall_portrait import measure_recall_memory, portrait_numbers
from geomem.models.configuration import Recall
from geomem.runs.facts import learn_facts
from geomem.training.configuration import RecallTraining
from geomem.worlds.facts.families import partial_facts, random_bijections, random_permutations

SETTINGS = {"transfer_subjects": 64, "training_steps": 60, "training_subjects": 32}


def test_the_portrait_of_block_superposition_is_ideal():
    """Every number of the table on an exact memory: what the columns say when the theory holds to the bit."""
    answers = random_answers(128, 2)
    weights = block_superposition(answers, binary_codes(128), flag=3)
    width, neurons = weights["subject_embedding"].shape[1], len(weights["block_0.mlp.expand.bias"])
    network = load_network(Recall(width=width, mlp_width=neurons, attention="uniform"), weights)
    portrait = measure_recall_memory(network, weights["subject_embedding"], answers, **SETTINGS)
    numbers = portrait_numbers(portrait)
    ones = {
        *("recall", "superposition", "share_explained", "well_posed", "read_out_accuracy", "read_out_score"),
        *("transfer_ridge", "transfer_adjoint", "transfer_least_squares", "embedding_only_trained"),
        *("constancy", "gate_variance_explained", "fixed_gates", "affine_surrogate"),
        *("swap_success", "swap_retention", "swap_best"),
    }
    assert {name: numbers[name] for name in ones} == pytest.approx(dict.fromkeys(ones, 1.0), abs=1e-3)
    assert numbers["read_out_cosine"] == pytest.approx(0, abs=1e-9)
    assert numbers["map_cosine"] == pytest.approx(2 / 3)
    assert numbers["participation_rank"] == pytest.approx(7)
    assert numbers["transfer_ridge_wrong_maps"] < 0.06
    assert numbers["superposition_shuffled"] < 0.02
    assert numbers["ratio"] == pytest.approx(width / (2 * np.log(128)))


@pytest.mark.parametrize(
    ("table", "model"),
    [
        (random_bijections(24, 1), Recall(width=12, mlp_width=0)),
        (partial_facts(random_bijections(24, 2), 0.6), Recall(width=12, mlp_width=24, attention="none")),
        (random_permutations(24, 2), Recall(width=12, mlp_width=24, tied=True)),
        (random_permutations(16, 2), Recall(width=12, mlp_width=24, hops=2, layer_norm=True)),
    ],
    ids=["one relation", "partial", "tied", "two hops"],
)
def test_any_memory_on_disk_has_its_row(tmp_path, table, model):
    memory = learn_facts(table, model=model, training=RecallTraining(steps=30), seeds=[4], directory=tmp_path)
    rows = measure_memory(memory, training_steps=4)
    assert rows["seed"].to_list() == [4]
    assert rows["relations"].to_list() == [table.relation_count**model.hops]
    missing = {name for name in rows.columns if rows[name].is_nan().all()}
    expected = {name for name in missing if name.endswith(("_steps", "_other_relation"))}
    if table.relation_count == 1:
        expected |= {"map_cosine", "read_out_cosine", "swap_retention"}
        expected |= {name for name in rows.columns if name.endswith("wrong_maps")}
    if not model.mlp_width:
        expected |= {"gate_variance_explained", "fixed_gates"}
    if model.tied:
        expected |= {name for name in rows.columns if name.startswith("embedding_only")}
    assert missing == expected


def test_a_row_is_its_run(tmp_path):
    memory = learn_facts(
        random_bijections(24, 2), training=RecallTraining(steps=60), seeds=[0, 1], directory=tmp_path
    )
    rows = measure_memory(memory, training_steps=4, seed=3)
    second = portrait_numbers(draw_portrait(memory, 1, training_steps=4, seed=3))
    assert {name: rows[name][1] for name in second} == pytest.approx(second, nan_ok=True)
