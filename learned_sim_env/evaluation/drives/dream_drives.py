"""Drives in the dream, from the moments that the twin's drives begin with, by the same driver."""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from learned_sim_env.drivers import open_driver
from learned_sim_env.evaluation.drives.drives import Drives, DrivesConfig
from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.judging import judge
from learned_sim_env.imagination.rollout import Imagined, Rollout
from learned_sim_env.imagination.starts import Starts
from learned_sim_env.rendering.palette import colourise
from learned_sim_env.task import ENDS
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.protocol import device_of

_NAMES = np.array(ENDS, object)


class _Ends:
    """How N drives of so many steps end, as an environment judges it; doubt is noted, but ends none of them."""

    def __init__(self, checkpoint: Checkpoint, rows: int, steps: int):
        self._contract, self._bound = checkpoint.contract, checkpoint.uncertainty_bound
        self.running, self.finite, self.doubted = np.ones(rows, bool), np.ones(rows, bool), np.zeros(rows, bool)
        self.reasons, self.doubted_at = np.full(rows, "time_limit", object), np.full(rows, steps)

    def after(self, age: int, imagined: Imagined) -> None:
        """Take in the step that led to moments of this age."""
        end = judge(imagined, self._contract, np.inf).end
        self.finite = self.finite & imagined.finite
        self.reasons = np.where(self.running & (end >= 0), _NAMES[end], self.reasons)
        self.running = self.running & (end < 0)
        doubts = self.running & ~self.doubted & (imagined.uncertainty > self._bound)
        self.doubted, self.doubted_at = self.doubted | doubts, np.where(doubts, age, self.doubted_at)


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
    # The twin's contexts may be longer than this model needs.
    inference, last = Inference(device_of(model)), slice(-model.context_steps, None)
    contexts = {name: np.stack([one[f"context.{name}"][last] for one in twin.values()]) for name in model.observes}
    actions = np.stack([one["actions"][last] for one in twin.values()])
    names = (*cameras, "bev") if viewed else cameras
    start = Starts(model, checkpoint.contexts, inference, names=names).from_observations(contexts, actions)
    rollout = Rollout(model, len(rows), inference)
    rollout.start(rows, start, config.seed * len(rows) + rows)
    act, began, ego = open_driver(driver, list(twin)), np.ones(len(rows), bool), start.ego
    ends = _Ends(checkpoint, len(rows), config.steps)
    frames = {name: [start.drawn[name]] for name in cameras}
    views, running = [start.drawn["bev"]] if viewed else [], [ends.running]
    egos, doubt = [ego], [np.zeros(len(rows), np.float32)]
    for age in tqdm(range(1, config.steps + 1), desc="dream", unit="step"):
        seen = {"ego": ego, **({"bev": colourise(rollout.drawn("bev", rows))} if viewed else {})}
        imagined = rollout.step(act(seen, began))
        # A row of which something is not finite stays where it was.
        ego, began = np.where(imagined.finite[:, None], imagined.ego, ego), np.zeros(len(rows), bool)
        ends.after(age, imagined)
        if age in drawn or not cameras:
            rollout.draw(names)
        if age in drawn:
            egos.append(ego)
            doubt.append(imagined.uncertainty)
            running.append(ends.running)
            for name in cameras:
                frames[name].append(rollout.drawn(name, rows))
            if viewed:
                views.append(rollout.drawn("bev", rows))
    return Drives(
        np.stack(running, 1),
        ends.finite,
        {name: np.stack(values, 1) for name, values in frames.items()},
        np.stack(views, 1) if viewed else None,
        np.stack(egos, 1),
        ends.reasons.astype(str),
        np.stack(doubt, 1),
        ends.doubted,
        ends.doubted_at,
    )
