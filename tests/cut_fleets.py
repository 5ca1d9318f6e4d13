"""A fleet of a sweep that Ctrl-C cuts in the middle."""

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from geomem.errors import InputError
from geomem.runs import train
from geomem.training import loop


def cut_once(monkeypatch: pytest.MonkeyPatch, module, name: str, step: int) -> list:
    """Let what trains a fleet, a function of a module, be cut after its checkpoint at `step`.

    Gives the list of the states that trainings then go on from, as they begin.
    """
    whole, begun = getattr(module, name), []

    def cut(fleet, *, on_checkpoint, **hooks):
        def keep(state):
            on_checkpoint(state)
            if state.step == step:
                raise KeyboardInterrupt

        begun.append(hooks["state"])
        return whole(fleet, on_checkpoint=keep, **hooks)

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(train, "CHECKPOINT_SHARE", 0)
    monkeypatch.setattr(module, name, cut)
    return begun


def check_narrowed(checkpoint: Path, go_on: Callable[[], object]) -> None:
    """See that a checkpoint of another shape is refused in a sentence; it is as before then."""
    whole, arrays = checkpoint.read_bytes(), load_file(checkpoint)
    with safe_open(checkpoint, "numpy") as file:
        described = file.metadata()
    arrays["parameters"] = arrays["parameters"][:, 1:].copy()
    save_file(arrays, checkpoint, metadata=described)
    with pytest.raises(InputError, match=r"is damaged \(parameters is not float32 of shape .*delete the dir"):
        go_on()
    checkpoint.write_bytes(whole)
