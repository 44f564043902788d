"""Drives in the dream, from the moments that the twin's drives begin with, by the same driver."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from learned_sim_env.drivers import open_driver
from learned_sim_env.evaluation.levels.camera_drives.drives import Drives, DrivesConfig
from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.judging import judge
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Starts
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.task import ENDS
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.protocol import device_of

_NAMES = np.array(ENDS, object)


def drive_dream(
    checkpoint: Checkpoint,
    twin: dict[int, dict[str, np.ndarray]],
    cameras: tuple[str, ...],
    driver: str,
    config: DrivesConfig,
) -> Drives:
    """Sampled at temperature 1, each drive by itself; it is drawn as the twin's are kept. Doubt ends none of them.

    Args:
        twin: by seed, see `twin_drives.TwinDrives.drive`.
        cameras: that are drawn. Without any, the view from above is drawn at every step, as drivers see it.
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
    egos, doubt, ends = [ego], [np.zeros(len(rows), np.float32)], np.full(len(rows), "time_limit", object)
    doubted, doubted_at = np.zeros(len(rows), bool), np.full(len(rows), config.steps)
    for age in tqdm(range(1, config.steps + 1), desc="dream", unit="step"):
        seen = {"ego": ego, **({"bev": colourise(rollout.drawn("bev", rows))} if viewed else {})}
        imagined = rollout.step(act(seen, began))
        finite = finite & imagined.finite
        # A row of which something is not finite stays where it was.
        ego, began = np.where(imagined.finite[:, None], imagined.ego, ego), np.zeros(len(rows), bool)
        judged = judge(imagined, checkpoint.contract, np.inf)
        ends = np.where(alive & (judged.end >= 0), _NAMES[judged.end], ends)
        alive = alive & (judged.end < 0)
        doubts = alive & ~doubted & (imagined.uncertainty > checkpoint.uncertainty_bound)
        doubted, doubted_at = doubted | doubts, np.where(doubts, age, doubted_at)
        if viewed and not cameras:
            rollout.draw(names)
        if age in drawn:
            rollout.draw(names)
            egos.append(ego)
            doubt.append(imagined.uncertainty)
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
        np.stack(egos, 1),
        ends.astype(str),
        np.stack(doubt, 1),
        doubted,
        doubted_at,
    )
