"""What road users gain from being told where paths meet: their motion trained by itself with and without, and compared.

    python docs/study_conflicts.py --data runs/camera-rssm/episodes --out runs/conflicts

Needs [train]. Both begin from the same seed and see the same windows of training; what is measured is of validation.
"surprise" is the cross-entropy [nat] of a step's acceleration: of all steps, and of those in which a road user's path
comes nearer than `CLOSE` to one that crosses it or comes towards it. "collisions" is the share of dreams, each begun
at the same moment by the same driver and with the same chances, that end with one within --drive-steps. The same
command goes on where it was stopped. OUT/conflicts.json and OUT/conflicts.md have the results.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor

from learned_sim_env.data.dataset import PackedData, packed_file
from learned_sim_env.evaluation.drives.dream_drives import drive_dream
from learned_sim_env.evaluation.drives.drives import DrivesConfig
from learned_sim_env.files import write_json, write_text
from learned_sim_env.locks import alone_in
from learned_sim_env.task import ENDS
from learned_sim_env.training.batches import TrafficWindows, WindowSampler
from learned_sim_env.training.rssm.agent_losses import followed, traffic_errors
from learned_sim_env.training.rssm.fine_tune import fine_tune_agents
from learned_sim_env.training.rssm.settings import RSSMSettings
from learned_sim_env.world_model.checkpoint import Checkpoint, from_pretrained
from learned_sim_env.world_model.geometry import relative
from learned_sim_env.world_model.rssm.agents.conflicts import Conflicts
from learned_sim_env.world_model.rssm.agents.motion import AgentMotion
from learned_sim_env.world_model.rssm.model import DrivingRSSM

# [m] Two whose middles come nearer than this touch, or nearly.
CLOSE = 3.0
# Where `Conflicts.told` has the distance.
DISTANCE = 1
# Steps after the context in a window, as in training.
HORIZON = 25


@dataclass(frozen=True)
class StudyArgs:
    """What to compare, and on what."""

    data: Path
    """A collection of episodes, or its packed.npz."""
    out: Path = Path("runs/conflicts")
    checkpoint: str = "bev-rssm"
    """Whose other parts both have."""
    steps: int = 4000
    """Of training."""
    batches: int = 40
    """Of validation, 96 windows each."""
    drives: int = 256
    drive_steps: int = 100
    driver: str = "idm"
    seed: int = 0


def main(args: StudyArgs) -> None:
    """Train both, measure, write and print."""
    args.out.mkdir(parents=True, exist_ok=True)
    data = PackedData.load(packed_file(args.data))
    found = {}
    with alone_in(args.out):
        for name, conflicts in (("without", False), ("with", True)):
            checkpoint = _trained(args, data, conflicts)
            found[name] = {**_likelihood(args, data, checkpoint.model), **_driven(args, data, checkpoint)}
            write_json(args.out / "conflicts.json", found)
    names = list(found["with"])
    lines = [" | ".join(["", *names]), "|".join(["---"] * (len(names) + 1))]
    lines += [" | ".join([name, *(f"{row[key]:.4g}" for key in names)]) for name, row in found.items()]
    write_text(args.out / "conflicts.md", "\n".join(f"| {line} |" for line in lines) + "\n")
    print("\n".join(lines))


def _trained(args: StudyArgs, data: PackedData, conflicts: bool) -> Checkpoint:
    """The checkpoint, with a motion of others that was trained from nothing."""
    checkpoint = from_pretrained(args.checkpoint)
    model: DrivingRSSM = checkpoint.model
    torch.manual_seed(args.seed)
    model.agent_motion = AgentMotion(model.contract.dt, conflicts=conflicts)
    model.config = replace(model.config, conflicts=conflicts)
    windows = WindowSampler(data.split("train"), model.context_steps, HORIZON, model.contract.dt, ("ego",))
    fine_tune_agents(model, windows, RSSMSettings(agent_steps=args.steps), args.seed, args.out)
    model.agent_motion.eval().requires_grad_(False)
    return checkpoint


@torch.no_grad()
def _likelihood(args: StudyArgs, data: PackedData, model: DrivingRSSM) -> dict[str, float]:
    """The mean surprise of all steps and of those near conflicts, and how many these are."""
    windows = WindowSampler(data.split("validation"), model.context_steps, HORIZON, model.contract.dt, ("ego",))
    surprises, conflicts = [], []
    for i in range(args.batches):
        torch.manual_seed(args.seed + i)
        batch = windows.sample_traffic(96, args.seed, i)
        surprise, _, known = traffic_errors(model, batch)
        surprises.append(surprise[known])
        conflicts.append(near_conflicts(model, batch)[known])
    surprise, near = torch.cat(surprises), torch.cat(conflicts)
    return {
        "surprise": float(surprise.mean()),
        "near conflicts": float(surprise[near].mean()),
        "steps": len(surprise),
        "of these near conflicts": int(near.sum()),
    }


def near_conflicts(model: DrivingRSSM, batch: TrafficWindows) -> Tensor:
    """Which agents (B, T, K), at the beginning of each step after the context, are on paths that come close."""
    pose, motion, known = followed(model, batch)
    found = []
    for t in range(pose.shape[1] - 1):
        now = batch.context - 1 + t
        seen = torch.cat([relative(pose[:, t], batch.pose[:, now, None]), motion[:, t]], -1)
        there = known[:, t].t()
        told = Conflicts().told(seen.permute(2, 1, 0), there, batch.ego[:, now, :2].t())
        found.append(torch.zeros_like(there).masked_scatter(there, (told[:, DISTANCE] < CLOSE).any(0)).t())
    return torch.stack(found, 1)


def _driven(args: StudyArgs, data: PackedData, checkpoint: Checkpoint) -> dict[str, Any]:
    """How dreams end that begin at moments of validation episodes."""
    model = checkpoint.model
    windows = WindowSampler(data.split("validation"), model.context_steps, 1, model.contract.dt, model.observes)
    batch = windows.sample(args.drives, args.seed, 0)
    now = slice(0, batch.context)
    starts = {
        row: {
            "actions": batch.actions[row, now].numpy(),
            **{f"context.{name}": value[row, now].numpy() for name, value in batch.observations.items()},
        }
        for row in range(args.drives)
    }
    config = DrivesConfig(drives=args.drives, steps=args.drive_steps, every=args.drive_steps, seed=args.seed)
    ends = drive_dream(checkpoint, starts, (), args.driver, config).ends
    return {f"ends: {name}": float(np.mean(ends == name)) for name in ENDS}


if __name__ == "__main__":
    main(tyro.cli(StudyArgs, description=__doc__))
