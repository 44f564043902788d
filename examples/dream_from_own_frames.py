"""Video in, video out: three cameras of your own, or a world seen in a mirror, begin a dream that goes on by itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import tyro

from learned_sim_env.films import above, beside, save_picture
from learned_sim_env.world_model.contexts import Contexts

CAMERAS = ("left", "front", "right")


@dataclass(frozen=True)
class Args:
    """Give a world model some frames, drive straight on, and draw what it was given and what it made of it."""

    frames: Path | None = None
    """An .npz with "front", "left" and "right" (T, 64, 96, 3) uint8, and if you like "ego" (T, 6), "route" (T, 10, 2)
    and "actions" (T, 2); by default a start that ships, left and right exchanged: nobody has ever driven there."""
    steps: int = 20
    """How long to dream, in steps of 0.1 s."""
    seed: int = 0
    """Of the dream; without FRAMES, also the number of the start that is mirrored."""
    out: Path = Path("runs/dream_from_own_frames.png")
    """Picture to write: a row of the frames given, and rows of the dream."""


def mirrored(contexts: Contexts, i: int) -> dict[str, np.ndarray]:
    """Context i with left and right exchanged."""
    seen = {name: value[i] for name, value in contexts.observations.items()}
    return {
        "front": seen["front"][:, :, ::-1],
        "left": seen["right"][:, :, ::-1],
        "right": seen["left"][:, :, ::-1],
        "ego": seen["ego"] * np.array([1, -1, -1, 1, -1, -1], np.float32),  # see spec.EGO_FIELDS
        "route": seen["route"] * np.array([1, -1], np.float32),
        "actions": contexts.actions[i] * np.array([-1, 1], np.float32),
    }


def given(path: Path) -> dict[str, np.ndarray]:
    """Observations by modality, and actions; what is not in the file is that of an ego going straight on at 8 m/s."""
    with np.load(path) as file:
        found = {name: file[name] for name in file.files}
    steps = len(found["front"])
    ahead = np.stack([4.0 * np.arange(1, 11), np.zeros(10)], -1)  # waypoints in the ego frame [m]
    straight = {
        "ego": np.tile(np.array([8, 0, 0, 0, 0, 0], np.float32), (steps, 1)),
        "route": np.tile(ahead.astype(np.float32), (steps, 1, 1)),
        "actions": np.zeros((steps, 2), np.float32),
    }
    return {**straight, **found}


def main(args: Args) -> None:
    """Begin, drive, print and draw."""
    env = gym.make("learned_sim_env:LearnedDrivingCamera-v0")
    seen = mirrored(env.unwrapped.checkpoint.contexts, args.seed) if args.frames is None else given(args.frames)
    actions = seen.pop("actions")
    observation, info = env.reset(seed=args.seed, options={"observations": seen, "actions": actions})
    rows = [beside([seen[name][-1] for name in CAMERAS])]
    for step in range(args.steps):
        observation, _, terminated, truncated, info = env.step(np.array([0.0, 0.1], np.float32))
        if step % max(1, args.steps // 4) == 0:
            rows.append(beside([observation[name] for name in CAMERAS]))
        if terminated or truncated:
            break
    end = info["end_reason"] or "still driving"
    print(f"{info['imagined_steps']} steps imagined, uncertainty {float(info['uncertainty']):.2f}, {end}")
    print(f"written: {save_picture(args.out, above(rows).repeat(2, 0).repeat(2, 1))}")
    env.close()


if __name__ == "__main__":
    main(tyro.cli(Args))
