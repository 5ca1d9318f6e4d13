"""What is said of a torch and a card that do not fit, and of devices that are not there."""

import subprocess

import pytest
import torch

from geomem.errors import InputError
from geomem.runs import environment
from geomem.runs.environment import check_device, describe_devices, describe_misfit, seen_cards

CARD = ("NVIDIA H100", "535.1")
OLD = "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver."
NONE = "CUDA unknown error. This may be due to an environment that is set up badly."


@pytest.mark.parametrize(
    ("build", "card", "hidden", "error", "said"),
    [
        (None, None, None, "", ""),
        (None, CARD, None, "", "nvidia-smi sees NVIDIA H100, but torch is built without CUDA; install"),
        ("13.0", None, None, "", "torch is built for CUDA 13.0 and there is no card; its CPU build"),
        ("13.0", CARD, None, OLD, "the driver 535.1 of NVIDIA H100 is too old for CUDA 13.0, which torch"),
        ("13.0", CARD, "", OLD, "CUDA_VISIBLE_DEVICES is '' and hides NVIDIA H100; unset it"),
        (
            "13.0",
            CARD,
            None,
            NONE,
            "NVIDIA H100 with driver 535.1, but torch, built for CUDA 13.0, cannot use",
        ),
        ("13.0", CARD, None, "", "it finds no device"),
    ],
)
def test_a_torch_that_does_not_fit_is_one_sentence(monkeypatch, build, card, hidden, error, said):
    def start():
        if error:
            raise RuntimeError(error)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", start)
    monkeypatch.setattr(torch.version, "cuda", build)
    monkeypatch.setattr(environment, "seen_cards", lambda: card)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    found = describe_misfit()
    assert said in found
    assert bool(said) == bool(found)
    assert ". " not in found
    with pytest.raises(InputError, match=r"^device is 'cuda'; give cpu; .* no CUDA device") as caught:
        check_device("cuda")
    assert said in str(caught.value)


def test_a_card_is_named_with_its_memory_and_driver(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: (79_000_000_000, 85_000_000_000))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "NVIDIA H100")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(environment, "seen_cards", lambda: CARD)
    assert "CUDA 13.0 on NVIDIA H100 (85 GB, 79 GB free), NVIDIA H100 (85 GB, " in describe_devices()
    assert describe_devices().endswith(", driver 535.1")
    assert describe_misfit() == ""
    check_device("cuda:1")
    with pytest.raises(InputError, match=r"^device is 'cuda:2'; give cpu or cuda, or cuda:0 to cuda:1\.$"):
        check_device("cuda:2")
    with pytest.raises(InputError, match=r"^device is 'card'; give cpu or cuda"):
        check_device("card")


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        (
            "NVIDIA H100 80GB HBM3, 535.1\nNVIDIA A100, 535.1\n",
            ("NVIDIA H100 80GB HBM3, NVIDIA A100", "535.1"),
        ),
        ("No devices were found\n", None),
        ("", None),
    ],
)
def test_what_nvidia_smi_prints(monkeypatch, printed, found):
    def answer(command, **options):
        return subprocess.CompletedProcess(command, 0, stdout=printed)

    monkeypatch.setattr(subprocess, "run", answer)
    assert seen_cards() == found


def test_without_nvidia_smi_no_card_is_seen(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert seen_cards() is None
