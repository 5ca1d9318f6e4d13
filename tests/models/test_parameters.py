"""How parameters start, which random stream they come from, and what is refused before a run."""

import pytest
import torch

from geomem.errors import InputError
from geomem.models.configuration import Associative, Bilinear, Mamba, Node2Vec, Transformer, check_model
from geomem.models.model import initialize_parameters
from geomem.models.randomness import generator_for

SIZES = {"vocabulary_size": 40, "context_length": 3, "node_count": 31}


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
