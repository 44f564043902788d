"""A dream beside the simulator it was learned from: same moment, same actions, as a film. Needs [metadrive,viewer]."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import tyro

from learned_sim_env.drivers import RouteFollower
from learned_sim_env.films import save_film
from learned_sim_env.twins import Pair, open_twin


@dataclass(frozen=True)
class Args:
    """Drive one episode in the dream and in its twin."""

    env_id: str = "LearnedDrivingCamera-v0"
    """Of the dream, whose twin is declared with it; or LearnedDriving-v0, seen from above."""
    steps: int = 100
    """At most, of 0.1 s."""
    seed: int = 0
    """Of the dream."""
    out: Path = Path("runs/dream_beside_twin.gif")
    """Film to write, a GIF or an MP4."""


def main(args: Args) -> None:
    """Drive, film, print."""
    pair = Pair(gym.make(args.env_id), open_twin(args.env_id))
    moments = [pair.reset(seed=args.seed)]
    print(f"context {moments[0].info['context']}: the simulator's start is {pair.agreement}")
    driver = RouteFollower.from_ego(moments[0].observation["ego"])
    while len(moments) <= args.steps and not moments[-1].over:
        moments.append(pair.step(driver(moments[-1].observation["ego"])))
    pair.close()
    for name, sides in (("dream", [m.dream for m in moments]), ("MetaDrive", [m.twin for m in moments])):
        end = sides[-1].end_reason or "not ended"
        print(f"{name}: return {sum(s.reward for s in sides):.1f}, cost {sum(s.cost for s in sides):g}, {end}")
    print(f"written: {save_film(args.out, [m.picture() for m in moments])}")


if __name__ == "__main__":
    main(tyro.cli(Args))
