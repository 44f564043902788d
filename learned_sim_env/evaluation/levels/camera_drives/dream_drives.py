"""Drives in the dream, from the moments that the twin's drives begin with, by the same driver."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from learned_sim_env.drivers import open_driver
from learned_sim_env.evaluation.levels.camera_drives.drives import Drives, DrivesConfig
from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Starts
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.spec import TERMINATIONS
from learned_sim_env.task import EVENTS
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.protocol import device_of

_ENDS = [EVENTS.index(name) for name in TERMINATIONS if name in EVENTS]


def drive_dream(
    checkpoint: Checkpoint,
    twin: dict[int, dict[str, np.ndarray]],
    cameras: tuple[str, ...],
    driver: str,
    config: DrivesConfig,
) -> Drives:
    """Sampled at temperature 1, each drive by itself; it is drawn as the twin's are kept.

    Args:
        twin: by seed, see `twin_drives.TwinDrives.drive`.
    """
    model = checkpoint.model
    viewed, drawn, rows = "bev" in model.draws, set(config.drawn), np.arange(len(twin))
    inference = Inference(device_of(model))
    contexts = {name: np.stack([one[f"context.{name}"] for one in twin.values()]) for name in model.observes}
    actions = np.stack([one["actions"] for one in twin.values()])
    names = (*cameras, "bev") if viewed else cameras
    start = Starts(model, checkpoint.contexts, inference, names=names).from_observations(contexts, actions)
    rollout = Rollout(model, len(rows), inference)
    rollout.start(rows, start, config.seed * len(rows) + rows)
    act, began = open_driver(driver, list(twin)), np.ones(len(rows), bool)
    ego, alive, finite = start.ego, np.ones(len(rows), bool), np.ones(len(rows), bool)
    frames = {name: [start.drawn[name]] for name in cameras}
    views, running = [start.drawn["bev"]] if viewed else [], [alive]
    for age in tqdm(range(1, config.steps + 1), desc="dream", unit="step"):
        seen = {"ego": ego, **({"bev": colourise(rollout.drawn("bev", rows))} if viewed else {})}
        imagined = rollout.step(act(seen, began))
        finite = finite & imagined.finite
        # A row of which something is not finite stays where it was.
        ego, began = np.where(imagined.finite[:, None], imagined.ego, ego), np.zeros(len(rows), bool)
        alive = alive & finite & ~imagined.events[:, _ENDS].any(1)
        if age in drawn:
            rollout.draw(names)
            for name in cameras:
                frames[name].append(rollout.drawn(name, rows))
            running.append(alive)
            if viewed:
                views.append(rollout.drawn("bev", rows))
    return Drives(
        np.stack(running, 1),
        finite,
        {name: np.stack(values, 1) for name, values in frames.items()},
        np.stack(views, 1) if viewed else None,
    )
