"""State dictionaries as the first paper's release saves them: a GPT whose query, key and value are joined."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from geomem.checkpoints.import_ import import_checkpoint, plan_import
from geomem.errors import InputError
from geomem.models.configuration import Transformer
from geomem.worlds.graphs.families import cycle
from geomem.worlds.vocabulary import SPECIAL_TOKENS

RING = cycle(6)
WORDS = RING.node_count + len(SPECIAL_TOKENS)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.Module()
        self.attn.c_attn, self.attn.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.attn.register_buffer("mask", torch.ones(4, 4).tril())
        self.mlp = nn.Module()
        self.mlp.c_fc, self.mlp.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, states, heads):
        normed = self.attn.c_attn(self.ln_1(states))
        query, key, value = (
            part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in normed.chunk(3, dim=-1)
        )
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        states = states + self.attn.c_proj(mixed.transpose(1, 2).flatten(2))
        hidden = nn.functional.gelu(self.mlp.c_fc(self.ln_2(states)), approximate="tanh")
        return states + self.mlp.c_proj(hidden)


class Gpt(nn.Module):
    """Nodes first, then the special tokens; the read-out is the embedding."""

    def __init__(self, *, layers=2, width=8, positions=4):
        super().__init__()
        torch.manual_seed(3)
        self.wte, self.wpe = nn.Embedding(WORDS, width), nn.Embedding(positions, width)
        self.h = nn.ModuleList([Block(width) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, WORDS, bias=False)
        self.lm_head.weight = self.wte.weight
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))

    def forward(self, tokens, heads):
        states = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.h:
            states = block(states, heads)
        return self.lm_head(self.ln_f(states))


def refusal(path, **options):
    with pytest.raises(InputError) as caught:
        plan_import(path, RING, **{"heads": 2} | options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "best.pt"


def test_a_gpt_of_the_release_becomes_a_run_with_its_loss(place, tmp_path):
    gpt = Gpt()
    torch.save({"model_state_dict": gpt.state_dict(), "epoch": 3}, place)
    assert "give --heads" in refusal(place, heads=None)
    run = import_checkpoint(place, RING, heads=2, directory=tmp_path / "runs")
    assert run.model == Transformer(layers=2, width=8, heads=2)
    prompts = torch.tensor([[WORDS - 2, node] for node in range(6)])
    with torch.no_grad():
        logits = gpt(prompts, 2)[:, -1].log_softmax(-1)
    neighbours = [[(node - 1) % 6, (node + 1) % 6] for node in range(6)]
    loss = -np.mean([logits[node, there].mean() for node, there in enumerate(neighbours)])
    np.testing.assert_allclose(run.final()["loss"], [loss], atol=1e-5)
    np.testing.assert_array_equal(run.embeddings()[0], gpt.wte.weight[:6].detach())
    other = import_checkpoint(place, RING, heads=1, directory=tmp_path / "runs")
    assert other.final()["loss"] != run.final()["loss"]


def test_names_and_layouts_of_other_savers(place):
    state = Gpt().state_dict()
    torch.save(state, place)
    plain = plan_import(place, RING, heads=2).job
    turned = {
        name: tensor.T.contiguous() if tensor.ndim == 2 and ".c_" in name else tensor
        for name, tensor in state.items()
    }
    for prefix in ("transformer.", "_orig_mod.module.", "model.transformer."):
        for variant in (state, turned):
            torch.save({prefix + name: tensor for name, tensor in variant.items()}, place)
            assert plan_import(place, RING, heads=2).job.path() == plain.path()
    torch.save({name: t for name, t in state.items() if not name.endswith(("_1.bias", "c_fc.bias"))}, place)
    weights = plan_import(place, RING, heads=2).job.start.weights()
    assert not weights["block_1.mlp.expand.bias"].any()
    bare = {name: tensor for name, tensor in state.items() if "ln_" not in name and "wpe" not in name}
    torch.save(bare, place)
    assert plan_import(place, RING, heads=2).job.model == Transformer(
        layers=2, width=8, heads=2, positions="none", layer_norm=False
    )
    state["lm_head.weight"] = state["wte.weight"] + 1
    torch.save(state, place)
    assert not plan_import(place, RING, heads=2).job.model.tied


def test_what_is_not_a_plain_state_dictionary_is_refused(place):
    state = Gpt().state_dict()

    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('a pickle was opened')",))

    torch.save({**state, "extra": Bomb()}, place)
    assert "holds more than tensors, or is damaged" in refusal(place)
    for content, complaint in (
        ([1, 2], "holds no state dictionary"),
        ({"wte.weight": torch.ones(15, 8)}, "holds no GPT"),
        ({"epoch": 3, **state}, "holds 'epoch', which is not a plain tensor"),
        (
            {**state, "wte.weight": torch.ones(1, 1).expand(15, 8)},
            "'wte.weight', which is not a plain tensor",
        ),
        ({**state, "h.7.ln_1.weight": torch.ones(8)}, "lacks h.2."),
        ({**state, "h.0.ln_1.weight": torch.ones(9)}, "h.0.ln_1.weight of shape (9,)"),
        ({**state, "other.weight": torch.ones(9)}, "has other.weight"),
    ):
        torch.save(content, place)
        assert complaint in refusal(place)
    torch.save(state, place)
    assert "heads must divide width" in refusal(place, heads=3)
    with pytest.raises(InputError, match="has 15 rows, and nodes and special tokens are 16"):
        plan_import(place, cycle(7), heads=2)
    whole = place.read_bytes()
    for spoilt in (whole[: len(whole) // 2], whole.replace(b"data", b"d\xe4ta"), b"PK"):
        place.write_bytes(spoilt)
        assert "is not a complete file of torch.save" in refusal(place)
    place.write_bytes(whole.replace(b"little", b"li\x1b[3m"))
    assert "\x1b" not in refusal(place)
    place.write_bytes(pickle.dumps(1))
    assert "a format that can run code" in refusal(place)


def test_an_archive_that_unfolds_to_more_than_itself_is_refused(place):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 1_000_000)
    place.write_bytes(packed.getvalue())
    assert "is not a complete file of torch.save" in refusal(place)
