"""How well a driver that was trained in the dream drives in the simulator. Needs [metadrive]."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.reinforcement.driving import drive, summary
from learned_sim_env.spec import TEST_SCENARIOS


@dataclass(frozen=True)
class Args:
    """Drive whole episodes of MetaDrive on maps that nothing was trained on."""

    policy: str = "careful"
    """A .safetensors file of `learned-sim transfer` or `train_sb3_ppo.py`, a policy that ships, or a scripted one."""
    episodes: int = 20
    """How many."""


def main(args: Args) -> None:
    """Drive and print."""
    twin = TwinDrivingEnv("metadrive")
    episodes = []
    for episode in drive(twin, args.policy, TEST_SCENARIOS[: args.episodes]):
        episodes.append(episode)
        print(
            f"scenario {episode.seed}: {episode.completion:4.0%} of the route, {episode.speed:4.1f} m/s, "
            f"return {episode.reward:6.1f}, cost {episode.cost:g}, {episode.end.replace('_', ' ')}"
        )
    twin.close()
    told = summary(episodes)
    print(f"driving score {told['score']:.2f}, arrived {told['success']:.0%}, collided {told['collision']:.0%}")


if __name__ == "__main__":
    main(tyro.cli(Args))
