"""The same view of every simulator, side by side: one palette, one scale. Needs [metadrive,carla,viewer]."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.films import beside, labelled, save_picture

STANDIN = ("-m", "learned_sim_env.carla_standin", "--port", "0", "--sync", "--town")


@dataclass(frozen=True)
class Args:
    """Draw moments of MetaDrive and of both towns of the CARLA stand-in, which it starts itself."""

    seeds: tuple[int, ...] = (2, 5, 8)
    """Scenarios, one row each."""
    steps: int = 60
    """Of 0.1 s, driven before the picture is taken."""
    view: str = "bev"
    """What to draw: bev, front, left or right."""
    out: Path = Path("runs/bev_of_simulators.png")
    """Picture to write."""


def views(name: str, env: TwinDrivingEnv, args: Args) -> list[np.ndarray]:
    """One labelled view a seed, of an environment that is closed in the end."""
    frames = []
    for seed in args.seeds:
        picture, _ = env.reset(seed=seed)
        for _ in range(args.steps):
            picture, _, terminated, truncated, _ = env.step(env.simulator.policy_action("expert"))
            if terminated or truncated:
                break
        frames.append(labelled(picture, f"{name}, scenario {seed}", scale=4))
    env.close()
    return frames


def main(args: Args) -> None:
    """Drive, draw, write."""
    shown = {"contract": "driving-camera", "obs_type": args.view}
    columns = [views("MetaDrive", TwinDrivingEnv("metadrive", **shown), args)]
    for town in ("GridTown", "RingTown"):
        with subprocess.Popen([sys.executable, *STANDIN, town], stdout=subprocess.PIPE, text=True) as server:
            port = int(server.stdout.readline().split(",")[0].rpartition(":")[2])
            columns.append(views(f"CARLA stand-in, {town}", TwinDrivingEnv("carla", port=port, **shown), args))
            server.terminate()
    picture = np.concatenate([beside(row) for row in zip(*columns)])
    print(f"written: {save_picture(args.out, picture)}")


if __name__ == "__main__":
    main(tyro.cli(Args))
