"""A fleet of a sweep that Ctrl-C cuts in the middle."""

import pytest

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
