"""Interventions: each does what it says, alone and in fleets, and resumes to the bit."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from geomem.cli import main
from geomem.errors import InputError
from geomem.geometry.alignment import fiedler_alignment
from geomem.geometry.spectrum import laplacian_spectrum
from geomem.models.configuration import Bilinear, Transformer
from geomem.models.model import initialize_parameters, trainable_names
from geomem.runs.edges import edge_job, memorize
from geomem.runs.paths import path_job
from geomem.runs.run import read_run
from geomem.training import loop
from geomem.training.configuration import PathTraining, RunSettings, Training
from geomem.training.edges import train_fleet
from geomem.training.optimizer import AdamState, MatrixPlace, Rates, adamw_update, orthogonalize
from geomem.training.treated import (
    add_energy_gradient,
    dirichlet_energy,
    ends_branch,
    make_rules,
    start_treated,
    treat_graph,
)
from geomem.training.treatment import INTERVENTIONS, Treatment, describe_treatment
from geomem.worlds.graphs.families import cycle, grid, irregular, path_star
from geomem.worlds.in_context import InContextPathFinding
from geomem.worlds.tasks import EdgeMemorization, directed_facts, edge_examples

STAR = path_star(arms=4, length=5)
SMALL = Transformer(width=8)
EVERYTHING = Treatment(
    *(0.5, 0.5, 0.5, 0.5),
    embedding_rate=2.0,
    network_rate=0.1,
    embedding_decay=0.1,
    network_decay=1.0,
    dirichlet=0.1,
    noise=0.1,
    dropout=0.1,
    muon="all",
)


def drawn(model, graph=STAR, seeds=(0, 1)):
    examples = edge_examples(graph, EdgeMemorization())
    sizes = {"vocabulary_size": examples.vocabulary_size, "context_length": 2, "node_count": graph.node_count}
    return initialize_parameters(model, **sizes, seeds=seeds)


def train(treatment, seeds, model=SMALL, steps=8, **hooks):
    task = EdgeMemorization()
    runs = [RunSettings(seed, 0.01) for seed in seeds]
    return train_fleet(
        model,
        edge_examples(STAR, task),
        directed_facts(STAR, task),
        STAR.node_count,
        runs,
        Training(steps=steps, snapshots=2),
        treated=treat_graph(treatment, STAR, model.width),
        **hooks,
    )


def test_the_energys_gradient_is_its_derivative():
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2, STAR.node_count, 3, generator=generator, dtype=torch.float64)
    edges = torch.tensor(STAR.edges)
    found = torch.zeros_like(embeddings)
    add_energy_gradient(embeddings, edges, found, weight=0.7)
    direction = torch.randn(embeddings.shape, generator=generator, dtype=torch.float64)
    ends = [dirichlet_energy(embeddings + sign * 1e-6 * direction, edges) for sign in (1, -1)]
    slope = 0.7 * (ends[0] - ends[1]) / 2e-6
    torch.testing.assert_close((found * direction).sum(dim=(1, 2)), slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_muon_is_torchs(shape):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(2, *shape, generator=generator)
    flat, rates = start.flatten(1).clone(), Rates(torch.full((2, 1), 0.1), torch.full((2, 1), 0.3), True)
    state = AdamState(*(torch.zeros_like(flat) for _ in range(4)))
    parameter = torch.nn.Parameter(start[1].clone())
    reference = torch.optim.Muon([parameter], lr=0.1, weight_decay=0.3, adjust_lr_fn="match_rms_adamw")
    for step in range(5):
        gradient = torch.randn(2, *shape, generator=generator)
        place = MatrixPlace(0, *shape)
        adamw_update(flat, gradient.flatten(1), state, rates, step=step, factor=1.0, muon=(place,))
        parameter.grad = gradient[1].clone()
        reference.step()
    # Theirs orthogonalises in bfloat16.
    torch.testing.assert_close(place.view(flat)[1], parameter.detach(), rtol=0.02, atol=0.01)


def test_orthogonal_matrices_have_singular_values_near_one():
    matrices = torch.randn(3, 20, 8, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(matrices))
    assert ((values > 0.6) & (values < 1.3)).all()


def test_rates_and_decays_are_those_of_two_optimizers():
    parameters = drawn(SMALL)
    trained = {name: parameters[name] for name in trainable_names(SMALL)}
    rules = make_rules(Treatment(network_rate=0.1, embedding_decay=0.5, network_decay=2.0), trained)
    flat = torch.cat([tensor.flatten(1) for tensor in trained.values()], dim=1)
    state = AdamState(*(torch.zeros_like(flat) for _ in range(3)))
    rates = rules.refine(Rates(torch.tensor([[0.01], [0.02]]), torch.zeros(2, 1), False))
    leaves = {name: torch.nn.Parameter(tensor[1].clone()) for name, tensor in trained.items()}
    table, network = leaves["token_embedding"], [leaves[n] for n in leaves if n.startswith("block_")]
    others = [leaves[n] for n in leaves if n.startswith(("position", "final"))]
    groups = [
        {"params": [table], "lr": 0.02, "weight_decay": 0.5},
        {"params": network, "lr": 0.002, "weight_decay": 2.0},
        {"params": others, "lr": 0.02, "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups)
    generator = torch.Generator().manual_seed(0)
    for step in range(6):
        gradient = torch.randn(flat.shape, generator=generator)
        adamw_update(flat, gradient, state, rates, step=step, factor=1.0)
        parts = gradient[1].split([leaf.numel() for leaf in leaves.values()])
        for leaf, part in zip(leaves.values(), parts, strict=True):
            leaf.grad = part.view(leaf.shape).clone()
        reference.step()
    expected = torch.cat([leaf.detach().flatten() for leaf in leaves.values()])
    torch.testing.assert_close(flat[1], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("graph", [STAR, grid(4, 4), cycle(15), irregular(), path_star(arms=20, length=3)])
def test_a_spectral_start_is_aligned(graph):
    parameters = drawn(Transformer(), graph)
    treated = treat_graph(Treatment(spectral_start=0.5), graph, 32)
    table = start_treated(parameters, treated, (0, 1))["token_embedding"][:, : graph.node_count].numpy()
    assert np.min(fiedler_alignment(table, laplacian_spectrum(graph))) > 0.99
    assert not np.allclose(table[0], table[1], atol=0.1)


def test_starts_scale_what_they_say():
    parameters = drawn(SMALL)
    changed = start_treated(parameters, treat_graph(Treatment(0.1, 0.5, 0.0), STAR, 8), (0, 1))
    factors = {
        name: 0.1 if name == "token_embedding" else 0.0 if ends_branch(name) else 0.5
        for name, tensor in parameters.items()
        if name == "token_embedding" or (name.startswith("block_") and tensor.ndim == 3)
    }
    assert sum(factor == 0 for factor in factors.values()) == 2
    for name, tensor in parameters.items():
        assert torch.equal(changed[name], tensor * factors.get(name, 1.0)), name


def test_an_untied_read_out_can_start_as_the_embedding():
    model = Transformer(width=8, tied=False)
    changed = start_treated(drawn(model), treat_graph(Treatment(readout_start="embedding"), STAR, 8), (0, 1))
    assert torch.equal(changed["output_embedding"], changed["token_embedding"])


def test_a_run_is_the_same_alone_and_in_a_fleet():
    fleet, alone = train(EVERYTHING, (3, 7)), train(EVERYTHING, (7,))
    for name, tensor in fleet.parameters.items():
        torch.testing.assert_close(tensor[1], alone.parameters[name][0], rtol=1e-4, atol=1e-6)


def kept_states(monkeypatch):
    states = []
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    return states


def test_a_treated_training_goes_on_to_the_bit(monkeypatch):
    states = kept_states(monkeypatch)
    whole = train(EVERYTHING, (0, 1), on_checkpoint=states.append)
    resumed = train(EVERYTHING, (0, 1), state=states[3])
    assert all(torch.equal(whole.parameters[name], resumed.parameters[name]) for name in whole.parameters)
    assert states[3].optimizer_state.keys() == {"first_moment", "second_moment", "momentum"}


def test_paths_take_treatments_and_go_on_to_the_bit(monkeypatch):
    job = path_job(
        path_star(arms=12, length=3),
        model=SMALL,
        training=PathTraining(epochs=3, batches=2, warmup_steps=1, stop_at=0.0),
        seeds=2,
        treatment=EVERYTHING,
    )
    assert job.configuration["treatment"] == describe_treatment(EVERYTHING)
    states = kept_states(monkeypatch)
    whole = job.train(on_checkpoint=states.append)
    resumed = job.train(state=states[2])
    plain = replace(job, train=path_job(job.world, model=SMALL, training=job.training, seeds=2).train).train()
    assert all(torch.equal(whole.parameters[name], resumed.parameters[name]) for name in whole.parameters)
    assert not torch.equal(whole.parameters["token_embedding"], plain.parameters["token_embedding"])


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_every_intervention_changes_the_training(name):
    model = Bilinear(width=8) if name == "identity-start" else Transformer(width=12)
    plain, job = (edge_job(STAR, model=model, interventions=names, seeds=1) for names in ((), (name,)))
    assert job.configuration != plain.configuration
    assert "treatment" not in plain.configuration


def test_an_intervention_that_is_an_option_is_that_option(tmp_path):
    job = edge_job(STAR, interventions=["self-edges"])
    assert job.path(tmp_path) == edge_job(STAR, task=EdgeMemorization(self_edges=True)).path(tmp_path)


def test_a_value_is_the_run_of_the_intervention_that_has_it(tmp_path):
    job, named = (edge_job(STAR, interventions=[name]) for name in ("dirichlet=3", "strong-dirichlet"))
    assert job.path(tmp_path) == named.path(tmp_path)
    later = edge_job(
        STAR, interventions=["strong-dirichlet", "dirichlet = 7", "network-rate=0.5", "muon=all"]
    )
    assert later.configuration["treatment"] == {"dirichlet": 7.0, "network_rate": 0.5, "muon": "all"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("dirichle=1", "'dirichle=1' sets no field of a treatment; did you mean dirichlet?"),
        ("=1", "give a value to one of embedding-start, network-start"),
        ("dirichlet=", "dirichlet is ''; give a finite number of at least 0."),
        ("dirichlet=nan", "dirichlet is 'nan'; give a finite number of at least 0."),
        ("dropout=1", "dropout is '1'; give a share of at least 0 and below 1."),
        ("muon=some", "muon is 'some'; give one of 'none', 'network', 'all'."),
    ],
)
def test_a_value_that_no_field_takes_is_said(given, said):
    with pytest.raises(InputError, match=re.escape(said)):
        edge_job(STAR, interventions=[given])


def test_a_treated_fleet_is_kept_and_read(tmp_path):
    given = {"model": SMALL, "training": Training(steps=3), "seeds": 2, "directory": tmp_path}
    run = memorize(STAR, interventions=["dirichlet", "self-edges"], **given)
    assert run.configuration["treatment"] == {"dirichlet": 0.1}
    assert memorize(STAR, interventions=["self-edges", "dirichlet"], **given).path == run.path


def test_what_cannot_be_is_said():
    with pytest.raises(InputError, match="'self-edge' is not an intervention; did you mean self-edges"):
        edge_job(STAR, interventions=["self-edge"])
    with pytest.raises(InputError, match="'gradient-descent' does not apply here"):
        path_job(path_star(arms=12, length=3), interventions=["gradient-descent"])
    with pytest.raises(InputError, match="changes the start of residual branches, which this model lacks"):
        train(Treatment(branch_start=0.0), (0,), model=Bilinear(width=8))
    with pytest.raises(InputError, match="in context there is none"):
        path_job(InContextPathFinding(arms=2, length=5), interventions=["dirichlet"], seeds=1).train()


def test_commands_take_interventions(tmp_path, capsys):
    """One of each, then one that is not there: nothing is written for it."""
    place = ["--directory", str(tmp_path), "--quiet", "--seeds", "1", "--width", "8"]
    assert main(["memorize", "cycle", *place, "--steps", "2", "--intervene", "muon", "self-edges"]) == 0
    paths = ["path-star", "--arms", "12", "--length", "3", "--epochs", "1", "--batches", "2"]
    assert main(["paths", *paths, "--warmup-steps", "0", *place, "--intervene", "dirichlet"]) == 0
    treatments = [read_run(line).configuration["treatment"] for line in capsys.readouterr().out.split()]
    assert treatments == [{"muon": "all"}, {"dirichlet": 0.1}]
    assert main(["memorize", "cycle", *place, "--intervene", "self-edgs"]) == 2
    assert "did you mean self-edges" in capsys.readouterr().err
    assert len(list(tmp_path.iterdir())) == 2
