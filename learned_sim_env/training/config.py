"""Settings of a training run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from learned_sim_env.training.losses import LossConfig


@dataclass(frozen=True)
class TrainConfig:
    """What a run is; stored in its folder, so that a resumed run is the same run."""

    model: str = "rssm-small"
    """Architecture: rssm-tiny, rssm-small or rssm-base."""
    steps: int = 6000
    """Optimiser steps in all."""
    batch_size: int = 16
    """Windows a step, over all processes."""
    path_batch: int = 256
    """Windows a step for the ego's own motion, which needs no pictures."""
    horizon: int = 25
    """Steps imagined after the five of the context, in a window."""
    learning_rate: float = 8e-4
    """Of AdamW, after the warm-up; it falls to a twentieth along a cosine."""
    warmup: int = 200
    """Steps over which the learning rate rises."""
    weight_decay: float = 1e-3
    clip_norm: float = 300.0
    """Gradients are scaled down to this norm."""
    seed: int = 0
    bf16: bool = True
    """Matrix products in bfloat16."""
    loss: LossConfig = field(default_factory=LossConfig)

    def check_resumes(self, stored: dict[str, Any], folder: Path) -> None:
        """Raise `ValueError` naming the first setting that differs from the run in `folder`; `steps` may grow."""
        mine = asdict(self)
        for f in fields(self):
            # JSON knows no tuples.
            value, old = mine[f.name], stored.get(f.name)
            if isinstance(value, dict):
                value = {k: list(v) if isinstance(v, tuple) else v for k, v in value.items()}
            if value != old and f.name != "steps":
                raise ValueError(
                    f"{folder} holds a run with {f.name}={old!r}, this one has {value!r}: "
                    "give the same settings to go on with it, or another --out"
                )
