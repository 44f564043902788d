"""How much there is to learn from, beside what a checkpoint that works has learned from; and how much to train then."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from learned_sim_env.data.packed import PackedData
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.progress import duration
from learned_sim_env.world_model.checkpoint import find, read_config

# What is compared with, where the run does not begin with a checkpoint.
SHIPPED = "bev-rssm"
# A share below which it is little. Steps of a run for each frame beyond which it learns them by heart.
LITTLE, BY_HEART = 0.1, 2.0
# The least share of what is trained by default: with a smaller one nothing would come of it.
LEAST = 0.01


def scaled(config: TrainConfig, settings: Any, amounts: Sequence[str], frames: int) -> tuple[TrainConfig, Any]:
    """Settings of a run that goes on from `config.start`, with less of all that `amounts` names.

    As much less as there are fewer `frames` for training than that checkpoint has learned from: so each is learned from
    as often as it would be in a run that begins anew with as many.

    Raises:
        ValueError: for a checkpoint that is damaged.
        OSError: if there is no such checkpoint.
    """
    known = learned_from(config.start)
    share = min(max(frames / known, LEAST), 1.0) if known else 1.0

    def less(some: Any) -> Any:
        names = [field.name for field in fields(some) if field.name in amounts]
        return replace(some, **{name: max(round(share * getattr(some, name)), 1) for name in names})

    return less(config), less(settings)


def learned_from(checkpoint: str) -> int:
    """Frames that a checkpoint, by its name, has learned from, those before it was adapted included; 0: not known.

    Raises:
        ValueError: for one that is damaged.
        OSError: if there is none.
    """
    training = read_config(find(checkpoint)).get("training", {})
    return int(training.get("frames", 0)) + int(training.get("frames_before", 0))


def how_little(data: PackedData, dt: float, steps: int, start: str = "") -> str:
    """In words what there is for training, where it is little; "" where there is enough, or nothing to compare with.

    dt: [s] of a step. steps: of the run. start: the checkpoint that it begins with.
    """
    train = data.split("train")
    name = start or SHIPPED
    try:
        known, frames = learned_from(name), train.steps
    except (OSError, ValueError):
        return ""
    if not known or frames >= LITTLE * known:
        return ""
    pieces = f"{len(train)} episode{'s' * (len(train) != 1)}"
    logs = len(set(map(str, train.logs)) - {""})
    pieces += f" of {logs} log{'s' * (logs != 1)}" if logs else ""
    share = f"{frames / known:.2%}" if frames >= known * 1e-4 else "less than 0.01%"
    said = (
        f"There are {frames:,} frames to train on ({duration(frames * dt)}, {pieces}): {share} of the {known:,} that "
        f"{_plain(name)} has learned from. "
    )
    if not start:
        said += f"A model that begins anew learns little of driving from that: begin with --start {SHIPPED}."
    elif steps > BY_HEART * frames:
        said += f"In {steps:,} steps the model learns them by heart: fewer will do, about {max(round(frames), 10):,}."
    else:
        said += "The model learns to drive on these roads rather than on others: look at the curves of validation."
    return said


def _plain(name: str) -> str:
    """The last part of a path."""
    return re.split(r"[/\\]", name.rstrip("/\\"))[-1]
