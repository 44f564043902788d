"""Many resets and steps of the CARLA twin on the stand-in: `python -m tests.simulators.soak_carla`.

Prints files, threads and memory of both processes as it goes, steps a second, and fails if an actor is left behind.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import carla
import tyro

from learned_sim_env.environments.twin import TwinDrivingEnv
from tests.standin import Standin


@dataclass(frozen=True)
class Args:
    """How long."""

    resets: int = 200
    """Episodes, one scenario each."""
    steps: int = 20_000
    """At least so many steps in all."""
    every: int = 20
    """Episodes between reports."""


def usage(process: int) -> str:
    """Open files, threads and resident memory of a process."""
    folder = f"/proc/{process}"
    with open(f"{folder}/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
    return f"{len(os.listdir(f'{folder}/fd'))} files, {len(os.listdir(f'{folder}/task'))} threads, {resident} MB"


def main(args: Args) -> None:
    """Drive with the expert, report, look at what is left."""
    with Standin() as server:
        env = TwinDrivingEnv("carla", port=server.port, max_episode_steps=max(1, round(1.2 * args.steps / args.resets)))
        episodes = steps = 0
        began = time.perf_counter()
        while episodes < args.resets or steps < args.steps:
            env.reset(seed=episodes)
            over = False
            while not over:
                *_, terminated, truncated, info = env.step(env.simulator.policy_action("expert"))
                assert info["end_reason"] != "simulator_error"
                over = terminated or truncated
                steps += 1
            episodes += 1
            if episodes % args.every == 0:
                speed = steps / (time.perf_counter() - began)
                client = usage(env.simulator._process.pid)
                print(f"{episodes} resets, {steps} steps, {speed:.0f} steps/s with resets; client: {client}; "
                      f"server: {usage(server.process.pid)}", flush=True)  # fmt: skip
        env.close()
        client = carla.Client("127.0.0.1", server.port)
        client.set_timeout(10.0)
        world = client.get_world()
        world.tick()
        left = [a.type_id for a in world.get_actors() if a.type_id not in ("spectator", "traffic.traffic_light")]
        assert not left, left


if __name__ == "__main__":
    main(tyro.cli(Args))
