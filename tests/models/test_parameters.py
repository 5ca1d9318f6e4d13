"""How parameters start, which random stream they come from, and what is refused before a run."""

import pytest
import torch

from geomem.errors import InputError
from geomem.models.configuration import (
    MODELS,
    Associative,
    Bilinear,
    Mamba,
    Node2Vec,
    Transformer,
    check_model,
)
from geomem.models.model import compute_logits, initialize_parameters, trainable_names
from geomem.models.parameters import describe_parameters, estimate_cost
from geomem.models.randomness import generator_for

SIZES = {"vocabulary_size": 40, "context_length": 3, "node_count": 31}
ALL = [
    Transformer(layers=2, width=64, heads=4),
    Transformer(width=64, tied=False, positions="sinusoidal"),
    Mamba(layers=2, width=64),
    Mamba(width=64, tied=False, initialization="mamba", residual=True, final_norm=True),
    Bilinear(width=64),
    Associative(width=64),
    Node2Vec(width=64),
    Node2Vec(width=64, tied=False),
]


@pytest.mark.parametrize("model", ALL, ids=str)
def test_every_tensor_starts_as_the_table_says(model):
    parameters = initialize_parameters(model, **SIZES, seeds=[0, 1, 2])
    described = describe_parameters(model, **SIZES)
    assert list(parameters) == list(described)
    for name, tensor in parameters.items():
        start = described[name]
        assert tensor.shape == (3, *start.shape)
        if start.start == "normal":
            assert tensor.std().item() == pytest.approx(start.deviation, rel=0.1)
            assert abs(tensor.mean().item()) < 0.1 * start.deviation
            assert not torch.equal(tensor[0], tensor[1])
        elif start.start == "uniform":
            assert tensor.std().item() == pytest.approx(start.deviation, rel=0.1)
            assert tensor.abs().max().item() <= 3**0.5 * start.deviation * (1 + 1e-6)
        elif start.start in ("zeros", "ones"):
            assert (tensor == (start.start == "ones")).all()


def test_initializations_of_the_release():
    def deviation(model, name):
        return initialize_parameters(model, **SIZES, seeds=range(20))[name].std().item()

    assert deviation(Transformer(width=64), "position_embedding") == pytest.approx(1, rel=0.1)
    assert deviation(Transformer(width=64, position_scale=0.02), "position_embedding") < 0.03
    for kind in (Transformer, Bilinear, Associative):
        assert deviation(kind(width=64), "token_embedding") == pytest.approx(0.02, rel=0.1)
        unit = kind(width=64, initialization="unit-normal")
        assert deviation(unit, "token_embedding") == pytest.approx(1, rel=0.1)
    assert deviation(Bilinear(width=64, initialization="unit-normal"), "weight") == pytest.approx(
        0.02, rel=0.1
    )
    identity = initialize_parameters(Bilinear(width=4, initialization="identity"), **SIZES, seeds=[0])[
        "weight"
    ]
    assert torch.equal(identity[0], torch.eye(4))


def test_sinusoids_by_hand():
    model = Transformer(width=4, positions="sinusoidal")
    positions = initialize_parameters(model, **SIZES, seeds=[0], dtype=torch.float64)["position_embedding"][0]
    angle = torch.tensor([2.0, 2.0 / 100], dtype=torch.float64)
    expected = torch.stack([angle.sin(), angle.cos()], dim=1).flatten()
    torch.testing.assert_close(positions[2], expected)


@pytest.mark.parametrize("model", ALL, ids=str)
def test_a_run_starts_the_same_alone_and_in_a_fleet(model):
    fleet = initialize_parameters(model, **SIZES, seeds=[5, 9, 2])
    alone = initialize_parameters(model, **SIZES, seeds=[9])
    assert all(torch.equal(fleet[name][1:2], alone[name]) for name in fleet)


def test_scales_multiply_the_deviations_only():
    model = Transformer(width=64)
    plain = initialize_parameters(model, **SIZES, seeds=[1, 1])
    scaled = initialize_parameters(model, **SIZES, seeds=[1, 1], scales=[1.0, 3.0])
    torch.testing.assert_close(scaled["token_embedding"][1], 3 * plain["token_embedding"][1])
    assert torch.equal(scaled["token_embedding"][0], plain["token_embedding"][0])
    assert torch.equal(scaled["final_norm.weight"], plain["final_norm.weight"])


def test_streams_depend_on_seed_and_name():
    def draw(seed, name):
        return torch.rand(4, generator=generator_for(seed, name)).tolist()

    assert draw(0, "a") == draw(0, "a")
    assert (
        len({tuple(draw(*key)) for key in [(0, "a"), (1, "a"), (0, "b"), (11, "a"), (1, "1/a"), (-1, "a")]})
        == 6
    )


@pytest.mark.parametrize("model", ALL, ids=str)
def test_the_announced_number_of_parameters_is_the_real_one(model):
    parameters = initialize_parameters(model, **SIZES, seeds=[0])
    cost = estimate_cost(model, **SIZES, example_count=31, run_count=3)
    assert cost.trained_parameters == sum(parameters[name].numel() for name in trainable_names(model))
    assert cost.memory_bytes > 4 * 4 * 3 * cost.trained_parameters
    assert cost.flops_per_step > 0
    assert estimate_cost(model, **SIZES, example_count=31, run_count=6).memory_bytes == 2 * cost.memory_bytes


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Transformer(width=32, heads=5), "width is 32 and heads is 5; heads must divide width"),
        (Transformer(layers=0), "layers is 0; give a whole number of at least 1"),
        (Transformer(width=7, positions="sinusoidal"), "sinusoidal positions need an even width"),
        (Transformer(position_scale=float("nan")), "position_scale is nan"),
        (Mamba(convolution=0), "convolution is 0; give a whole number of at least 1"),
        (Bilinear(dropout=1.0), "dropout is 1.0"),
        (Bilinear(width=-3), "width is -3"),
        (Node2Vec(embedding_scale=-1.0), "embedding_scale is -1.0"),
    ],
)
def test_impossible_models_are_refused_in_one_sentence(model, message):
    with pytest.raises(InputError, match=message) as caught:
        check_model(model)
    assert str(caught.value).count(". ") == 0
    with pytest.raises(InputError):
        initialize_parameters(model, **SIZES, seeds=[0])


def test_unknown_words_are_refused():
    model = Associative()
    object.__setattr__(model, "initialization", "random")  # past the tests' own type checks
    with pytest.raises(InputError, match="initialization is 'random'; give one of 'gpt2', 'unit-normal'"):
        check_model(model)


def test_every_listed_model_is_possible_and_has_logits():
    for kind in MODELS.values():
        check_model(kind())
        parameters = initialize_parameters(kind(), **SIZES, seeds=[0])
        assert compute_logits(kind(), parameters, torch.tensor([[38, 1], [38, 2]])).shape[:2] == (1, 2)
