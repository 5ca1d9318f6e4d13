"""A card whose memory is full ends a training in one sentence, and the run goes on later."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from geomem.errors import InputError
from geomem.runs.edges import edge_job
from geomem.runs.paths import path_job
from geomem.runs.train import train
from geomem.training.configuration import PathTraining, Training
from geomem.worlds.graphs.families import path_star

FULL = torch.cuda.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 3.00 "
    "GiB is free. See documentation for Memory Management."
)


def filling(job, step):
    """The same job on a card that is full after so many steps, the last of them kept."""
    done = []

    def fill(**hooks):
        def stop():
            done.append(1)
            return len(done) == step

        try:
            job.train(**hooks | {"should_stop": stop})
        except KeyboardInterrupt:
            raise FULL from None

    return replace(job, train=fill)


def test_a_full_card_says_what_to_lower_and_the_run_goes_on_to_the_same_bits(tmp_path):
    job = edge_job("cycle", model="bilinear", training=Training(steps=20), seeds=1)
    whole = train(job, tmp_path / "whole")
    with pytest.raises(InputError) as caught:
        train(filling(job, 7), tmp_path / "cut")
    assert str(caught.value) == (
        "The memory of cpu is full (20.00 GiB more were asked for); use fewer seeds, a smaller width, a "
        "smaller world or fewer snapshots, or end other programs on the card: the same command then goes on "
        "from step 7 of 20."
    )
    events = []
    resumed = train(job, tmp_path / "cut", on_progress=events.append)
    assert events[0].first_step == 7
    for name, array in whole.weights().items():
        np.testing.assert_array_equal(array, resumed.weights()[name])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_card_that_is_full_ends_in_a_sentence_and_the_run_goes_on(tmp_path):
    job = path_job(path_star(2000, 4), training=PathTraining(epochs=1, batches=4, warmup_steps=0), seeds=1)
    torch.cuda.empty_cache()
    most = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 8e6) / most)
    try:
        with pytest.raises(InputError, match=r"^The memory of cuda is full .*; use fewer arms, "):
            train(job, tmp_path, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert train(job, tmp_path, device="cuda").steps[-1] == job.steps


def test_a_card_that_is_full_while_the_pace_is_measured_leaves_nothing_behind(tmp_path):
    def fill(**hooks):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    training = PathTraining(epochs=4, warmup_steps=2)
    job = replace(path_job(path_star(20, 3), training=training, seeds=1), train=fill)
    with pytest.raises(
        InputError, match=r"is full; use fewer arms, .* micro-batches, .* then starts again\.$"
    ):
        train(job, tmp_path, on_progress=lambda event: None)
    assert not list(tmp_path.rglob("manifest.json"))
