"""Settings of a training run that all architectures share; each has settings of its own beside them."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run, stored in its folder, so that it is resumed with the same ones."""

    model: str = "rssm-small"
    """Architecture and size: rssm-tiny, rssm-small, rssm-base, camera-tiny, camera-small, lstm-tiny, lstm-small,
    lstm-camera-tiny, transformer-tiny or transformer-small."""
    contract: str = "driving"
    """What the data was recorded under, and the model is trained for: driving or driving-camera."""
    start: str = ""
    """Checkpoint whose weights to begin with, such as bev-rssm, ./mine or hf://owner/name. Empty: begin anew."""
    steps: int = 6000
    """Optimiser steps in all."""
    batch_size: int = 16
    """Windows a step, over all processes."""
    horizon: int = 25
    """Steps after those of the context, in a window."""
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


def described(config: Any, settings: Any) -> dict[str, Any]:
    """All settings of a run as they stand in its `run.json`: the common ones and the architecture's own, side by side.

    config, settings: dataclasses.
    """
    # JSON has no tuples.
    return json.loads(json.dumps({**asdict(config), **asdict(settings)}))


def check_resumes(
    run: Mapping[str, Any], stored: Mapping[str, Any], folder: Path, may_differ: Container[str] = ("steps",)
) -> None:
    """Raise `ValueError` naming the first setting in which a run differs from the one in `folder`.

    run, stored: as `described`. Runs that were stored without a `contract` have "driving". may_differ: settings with
    which a run goes on for longer.
    """
    for name, value in run.items():
        old = stored.get(name, "driving" if name == "contract" else None)
        if value != old and name not in may_differ:
            raise ValueError(
                f"{folder} holds a run with {name}={old!r}, this one has {value!r}: "
                "give the same settings to go on with it, or another --out"
            )
