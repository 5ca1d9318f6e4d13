import numpy as np
import pytest

from geomem.constructions import answering
from geomem.constructions.answering import answer, logit_margins, recall_every_fact, recall_logits
from geomem.constructions.one_hop import block_superposition
from geomem.errors import InputError
from geomem.worlds.facts.families import random_bijections

TABLE = random_bijections(30, 4)
WEIGHTS = block_superposition(TABLE).weights


def random_weights(subjects=12, relations=3, objects=7, width=5, neurons=9):
    """A model with nothing to exploit: every number is drawn."""
    generator = np.random.default_rng(0)
    square = (width, width)
    shapes = {
        "subject_embedding": (subjects, width),
        "relation_embedding": (relations, width),
        "block_0.attention.value.weight": square,
        "block_0.attention.output.weight": square,
        "block_0.mlp.expand.weight": (neurons, width),
        "block_0.mlp.expand.bias": (neurons,),
        "block_0.mlp.contract.weight": (width, neurons),
        "block_0.mlp.contract.bias": (width,),
        "output_embedding": (objects, width),
    }
    return {name: generator.normal(size=shape) for name, shape in shapes.items()}


def slow_logits(weights, subject, relation):
    """The formula of the model, one question at a time."""
    tokens = [weights["subject_embedding"][subject], weights["relation_embedding"][relation]]
    values = [weights["block_0.attention.value.weight"] @ token for token in tokens]
    h = tokens[1] + weights["block_0.attention.output.weight"] @ (0.5 * values[0] + 0.5 * values[1])
    inside = weights["block_0.mlp.expand.weight"] @ h + weights["block_0.mlp.expand.bias"]
    y = (
        h
        + weights["block_0.mlp.contract.weight"] @ np.maximum(inside, 0)
        + weights["block_0.mlp.contract.bias"]
    )
    return weights["output_embedding"] @ y


@pytest.mark.parametrize("block", [1, 20, 2**22])
def test_any_weights_answer_as_the_formula_says(block, monkeypatch):
    monkeypatch.setattr(answering, "_BLOCK_NUMBERS", block)
    weights = random_weights()
    generator = np.random.default_rng(1)
    subjects, relations = generator.integers(12, size=40), generator.integers(3, size=40)
    expected = np.array([slow_logits(weights, x, r) for x, r in zip(subjects, relations, strict=True)])
    assert np.allclose(recall_logits(weights, subjects, relations), expected)
    said = answer(weights, subjects, relations)
    assert (said.objects == expected.argmax(axis=1)).all()
    ordered = np.sort(expected, axis=1)
    assert np.allclose(said.leads, ordered[:, -1] - ordered[:, -2])


def test_a_model_without_mlp_answers_too():
    weights = {name: array for name, array in random_weights().items() if "mlp" not in name}
    subjects, relations = np.array([3, 4]), np.array([0, 2])
    h = recall_logits(weights, subjects, relations)
    assert (answer(weights, subjects, relations).objects == h.argmax(axis=1)).all()


def test_ties_count_as_wrong():
    weights = {name: np.zeros_like(array) for name, array in WEIGHTS.items()}
    said = recall_every_fact(weights, TABLE)
    assert said.recall == 0
    assert (said.margins == 0).all()


def test_margins_of_a_single_object_and_of_long_integers():
    assert logit_margins(np.array([[3.0]]), np.array([0])).tolist() == [3.0]
    whole = np.array([[0, -(10**400)], [-7, -5]], dtype=object)
    assert logit_margins(whole, np.array([0, 0])).tolist() == [1e300, -2.0]


def test_no_question_has_no_answer():
    nothing = np.zeros(0, dtype=np.int64)
    assert answer(WEIGHTS, nothing, nothing).objects.shape == (0,)


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({name: WEIGHTS[name] for name in list(WEIGHTS)[1:]}, "The weights lack subject_embedding"),
        (
            {n: a for n, a in WEIGHTS.items() if n != "block_0.mlp.expand.bias"},
            r"The weights lack block_0\.mlp\.expand\.bias",
        ),
        (WEIGHTS | {"block_1.mlp.expand.weight": np.eye(2)}, "more than one layer"),
        (WEIGHTS | {"subject_embedding": np.zeros((1, 2, 3))}, "3 axes; give weights of one run"),
        (
            WEIGHTS | {f"block_0.attention.{part}.weight": np.eye(29) for part in ("query", "key")},
            "attention that depends on content",
        ),
    ],
)
def test_other_weights_are_refused(weights, sentence):
    with pytest.raises(InputError, match=sentence):
        recall_every_fact(weights, TABLE)


def test_questions_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="names subject 30; use ids from 0 to 29"):
        answer(WEIGHTS, np.array([30]), np.array([0]))
    with pytest.raises(InputError, match="names relation -1; use ids from 0 to 3"):
        answer(WEIGHTS, np.array([0]), np.array([-1]))
    with pytest.raises(InputError, match="The weights know 30 subjects"):
        recall_every_fact(WEIGHTS, random_bijections(31, 4))
