"""What would happen if? One moment of a dream, continued under five steering actions with the same chance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import tyro

from learned_sim_env.films import beside, labelled, save_picture

STEERING = (-0.4, -0.2, 0.0, 0.2, 0.4)


@dataclass(frozen=True)
class Args:
    """Continue one moment under five steering actions, and draw where each leads."""

    steps: int = 15
    """How long to steer, in steps of 0.1 s."""
    scenario: str = "straight"
    """Kind of place to begin at."""
    seed: int = 0
    """Of the dream."""
    out: Path = Path("runs/counterfactuals.png")
    """Picture to write."""


def main(args: Args) -> None:
    """Branch, steer, print and draw."""
    env = gym.make("learned_sim_env:LearnedDriving-v0")
    env.reset(seed=args.seed, options={"scenario": args.scenario})
    branches = env.unwrapped.branch(len(STEERING))

    actions = np.array([(steer, 0.2) for steer in STEERING], np.float32)
    forward, left, yaw = np.zeros((3, len(STEERING)))  # in the ego frame of the first moment [m, m, rad]
    running = np.ones(len(STEERING), bool)
    ends = [""] * len(STEERING)
    views = np.array(branches.render())  # whatever the model draws
    for _ in range(args.steps):
        _, _, terminated, truncated, infos = branches.step(actions)
        # A row that has ended begins anew elsewhere: what it shows after that does not belong here.
        dx, dy, dyaw = np.where(running, infos["ego_motion"].T, 0.0)
        forward += dx * np.cos(yaw) - dy * np.sin(yaw)
        left += dx * np.sin(yaw) + dy * np.cos(yaw)
        yaw += dyaw
        views[running] = np.array(branches.render())[running]
        for i in np.flatnonzero(running & (terminated | truncated)):
            ends[i] = infos["end_reason"][i]
        running &= ~(terminated | truncated)

    for i, steer in enumerate(STEERING):
        side = f"{abs(left[i]):.1f} m to the {'left' if left[i] > 0 else 'right'}"
        print(f"steer {steer:+.1f}: {forward[i]:5.1f} m ahead, {side} {ends[i] and f'({ends[i]})'}")
    frames = [labelled(view, f"steer {steer:+.1f} {end}", 4) for view, steer, end in zip(views, STEERING, ends)]
    print(f"written: {save_picture(args.out, beside(frames))}")
    branches.close()
    env.close()


if __name__ == "__main__":
    main(tyro.cli(Args))
