"""Which of these drivers is better? Asked in the dream, in seconds, and in the simulator. Needs [metadrive]."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.reinforcement.matched import in_dream, in_twin, reachable
from learned_sim_env.reinforcement.ranking import rank
from learned_sim_env.world_model.checkpoint import from_pretrained


@dataclass(frozen=True)
class Args:
    """Drive from the same moments in dream and simulator, and compare the two rankings."""

    drivers: tuple[str, ...] = ("nothing", "random", "throttle", "follow-3", "follow-8", "careful")
    """Scripted ones, policies that ship, or .safetensors files."""
    contexts: int = 8
    """Moments to begin at."""
    repeats: int = 4
    """Times that each is dreamt."""
    steps: int = 50
    """Driven from each."""
    most_steps: int = 60
    """Moments further into their scenario are left out: the simulator has to be driven there."""


def main(args: Args) -> None:
    """Drive, rank, print."""
    checkpoint = from_pretrained("bev-rssm")
    contexts = reachable(checkpoint.contexts, args.contexts, args.most_steps)
    twin = TwinDrivingEnv("metadrive", max_episode_steps=1_000_000)
    sides = {}
    for name in args.drivers:
        dream = in_dream(checkpoint, name, contexts, args.repeats, args.steps)
        real = in_twin(twin, checkpoint, name, contexts, args.steps)
        sides[name] = (dream, real)
        print(f"{name:>10}: return {dream.reward.mean():6.1f} in the dream, {real.reward.mean():6.1f} in the simulator")
    twin.close()
    found = rank(sides, "reward")
    print(f"Pearson {found.pearson.value:.2f}, Spearman {found.spearman.value:.2f} over {len(sides)} drivers")


if __name__ == "__main__":
    main(tyro.cli(Args))
