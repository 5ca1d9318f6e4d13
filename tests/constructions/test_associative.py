import numpy as np
import pytest

from geomem.constructions.answering import answer, recall_every_fact, recall_logits
from geomem.constructions.associative import (
    _ridge_map,
    answer_outer_products,
    key_value_network,
    outer_product_memory,
    recall_outer_products,
)
from geomem.constructions.one_hop import block_superposition
from geomem.errors import InputError
from geomem.worlds.facts.families import many_to_one, partial_facts, random_bijections

TABLE = random_bijections(64, 4)


def test_the_memory_is_the_sum_of_outer_products():
    table = partial_facts(random_bijections(5, 3), 0.6)
    memory = outer_product_memory(table, 49)
    total = np.zeros((7, 7))
    for subject, relation, target in table.facts:
        key = memory.subjects[subject] * memory.relations[relation]
        assert np.linalg.norm(key) == pytest.approx(1)
        total += np.outer(memory.objects[target], key)
    assert np.allclose(memory.memory, total)
    said = answer_outer_products(memory, table.facts[:, 0], table.facts[:, 1])
    every = recall_outer_products(memory, table)
    assert (said.objects == every.objects).all()
    right = every.margins > 0
    assert np.allclose(said.leads[right], every.margins[right])
    assert right.any()


@pytest.mark.parametrize("make", ["outer products", "key-value"])
def test_recall_grows_with_the_weights_up_to_everything(make):
    shares = []
    for numbers in (200, 2000, 60_000):
        if make == "key-value":
            said = recall_every_fact(key_value_network(TABLE, numbers).weights, TABLE)
        else:
            said = recall_outer_products(outer_product_memory(TABLE, numbers), TABLE)
        shares.append(said.recall)
    assert shares == sorted(shares)
    assert shares[0] < 0.5
    assert shares[-1] == 1


def test_at_the_bits_of_the_geometric_memory_the_associative_ones_fail():
    """As many numbers as the block superposition has bits, each of 64 bits, and still not all is recalled."""
    numbers = block_superposition(TABLE).size.fact_numbers
    assert recall_outer_products(outer_product_memory(TABLE, numbers), TABLE).recall < 0.9
    assert key_value_network(TABLE, numbers).margin < 0


def test_the_key_value_network_is_a_recall_model_whose_facts_are_in_one_matrix():
    made = [key_value_network(random_bijections(32, 2, world_seed=seed), 640, seed=3) for seed in range(2)]
    changed = [name for name, array in made[0].weights.items() if (array != made[1].weights[name]).any()]
    assert changed == ["block_0.mlp.contract.weight"]
    assert made[0].size.fact_numbers == made[0].weights["block_0.mlp.contract.weight"].size == 640
    assert made[0].size.numbers == sum(array.size for array in made[0].weights.values())
    s, r = np.array([3, 9]), np.array([1, 0])
    assert (
        answer(made[0].weights, s, r).objects == recall_logits(made[0].weights, s, r).argmax(axis=1)
    ).all()


def test_tables_of_other_kinds():
    table = partial_facts(many_to_one(40, 3, 5), 0.7)
    assert key_value_network(table, 6000).margin > 0
    assert recall_outer_products(outer_product_memory(table, 160_000), table).recall == 1
    single = many_to_one(4, 2, 1)
    assert recall_outer_products(outer_product_memory(single, 400), single).recall == 1


def test_both_ridge_systems_give_the_same_map():
    generator = np.random.default_rng(0)
    for facts, neurons in ((30, 12), (12, 30), (8, 8)):
        features, targets = generator.normal(size=(facts, neurons)), generator.normal(size=(facts, 3))
        ridge = 1e-6 * (features**2).sum() / facts
        stacked = np.vstack([features, np.sqrt(ridge) * np.eye(neurons)])
        padded = np.vstack([targets, np.zeros((neurons, 3))])
        expected = np.linalg.lstsq(stacked, padded)[0].T
        assert np.allclose(_ridge_map(features, targets), expected, atol=1e-6)


def test_bad_input_is_refused():
    for make in (outer_product_memory, key_value_network):
        with pytest.raises(InputError, match="got no number for its facts"):
            make(TABLE, 0)
        with pytest.raises(InputError, match="more than the limit of 100"):
            make(TABLE, 5000, numbers_limit=100)
