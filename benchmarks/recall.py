"""A fleet of recall models against one process per run, as a script of its own would train it.

Theirs is idiomatic PyTorch: `nn.Embedding` tables, one row per fact, full-batch cross-entropy, Adam
with the same rates and cosine; every run is a process that imports torch, trains and prints its recall. Ours
trains the same cell of the capacity table, all widths and seeds at once, importing torch once. Processor
seconds of whole processes, on one thread each.
"""

import json
import os
import subprocess
import sys
import tempfile

from benchmarks.row import Row

SUBJECTS, RELATIONS, STEPS = 64, 4, 300
WIDTHS, SEEDS = (3, 4, 5, 6, 8), (0, 1, 2)
THEIR_RUNS = 3
"""Of theirs only so many are timed; each takes as long as the next."""

OURS = """
import json, sys
from geomem.sweep.capacity import capacity_curves
from geomem.training.configuration import RecallTraining

subjects, relations, steps, widths, seeds, directory = json.loads(sys.argv[1])
found = capacity_curves([subjects], [relations], sizes=widths, seeds=seeds, directory=directory,
    training=RecallTraining(steps=steps, metric_every=steps), processes=1)
print(found.runs["recall"].mean())
"""

THEIRS = """
import json, math, sys
import torch
from torch import nn
from torch.nn.functional import cross_entropy

subjects, relations, steps, width, seed = json.loads(sys.argv[1])


class Recall(nn.Module):
    def __init__(self):
        super().__init__()
        self.subject = nn.Embedding(subjects, width)
        self.relation = nn.Embedding(relations, width)
        self.query, self.key, self.value, self.output = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self.objects = nn.Linear(width, subjects, bias=False)

    def forward(self, questions):
        x = torch.stack([self.subject(questions[:, 0]), self.relation(questions[:, 1])], dim=1)
        scores = (self.query(x[:, 1:]) @ self.key(x).transpose(1, 2)) / math.sqrt(width)
        h = x[:, 1] + self.output(scores.softmax(-1) @ self.value(x))[:, 0]
        return self.objects(h + self.mlp(h))


torch.manual_seed(seed)
torch.set_num_threads(1)
questions = torch.cartesian_prod(torch.arange(subjects), torch.arange(relations))
targets = torch.stack([torch.randperm(subjects) for _ in range(relations)], dim=1).flatten()
model = Recall()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.9, 0.98))
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
for _ in range(steps):
    optimizer.zero_grad()
    cross_entropy(model(questions), targets).backward()
    optimizer.step()
    schedule.step()
print((model(questions).argmax(-1) == targets).float().mean().item())
"""


def processor_seconds(code: str, settings: list) -> float:
    """Processor time of a Python process that runs a program; other programs on the machine do not count."""
    before = os.times()
    command = [sys.executable, "-c", code, json.dumps(settings)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after = os.times()
    used = after.children_user + after.children_system
    return used - before.children_user - before.children_system


def rows() -> list[Row]:
    """Runs per second of a fleet against one process per run."""
    with tempfile.TemporaryDirectory() as directory:
        settings = [SUBJECTS, RELATIONS, STEPS, list(WIDTHS), len(SEEDS), directory]
        ours = len(WIDTHS) * len(SEEDS) / processor_seconds(OURS, settings)
    width = WIDTHS[len(WIDTHS) // 2]
    times = [
        processor_seconds(THEIRS, [SUBJECTS, RELATIONS, STEPS, width, seed]) for seed in range(THEIR_RUNS)
    ]
    theirs = 1 / min(times)
    return [
        Row(
            what=f"{len(WIDTHS) * len(SEEDS)} recall models of widths {WIDTHS[0]} to {WIDTHS[-1]} on "
            f"{SUBJECTS} subjects and {RELATIONS} relations as one fleet; theirs: a process per run, "
            f"nn.Module, one row per fact; {STEPS} steps, imports included",
            ours=f"{ours:.3g} runs/s",
            theirs=f"{theirs:.3g} runs/s",
            ratio=ours / theirs,
            required="at least 3 times",
            holds=ours >= 3 * theirs,
        )
    ]
