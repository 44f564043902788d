"""MetaDrive and the CARLA stand-in, driven alike and compared on one page. Needs [metadrive,carla,train]."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from learned_sim_env.environments.twin import TwinDrivingEnv
from learned_sim_env.reporting.html import write_html
from learned_sim_env.twins.comparison_page import compare
from learned_sim_env.twins.driven_episodes import ComparisonPlan, drive

STANDIN = ("-m", "learned_sim_env.carla_standin", "--port", "0", "--sync")


@dataclass(frozen=True)
class Args:
    """What `learned-sim compare` does, in a few lines, with a server that it starts itself."""

    episodes: int = 2
    """Of each scenario with each of three drivers."""
    steps: int = 200
    """At most, an episode."""
    scenarios: tuple[str, ...] = ("straight", "curve", "intersection", "traffic")
    """Kinds of scenario."""
    out: Path = Path("runs/compare_sims.html")
    """Page to write."""


def main(args: Args) -> None:
    """Drive both, compare, write."""
    plan = ComparisonPlan(args.scenarios, episodes=args.episodes, steps=args.steps)
    with subprocess.Popen([sys.executable, *STANDIN], stdout=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline().split(",")[0].rpartition(":")[2])
        sides = []
        for env in (TwinDrivingEnv("metadrive"), TwinDrivingEnv("carla", port=port)):
            episodes, _ = drive(env, plan)
            env.close()
            sides.append(episodes)
        server.terminate()
    parts = compare(("MetaDrive", "CARLA stand-in"), (sides[0], sides[1]))
    for row in parts[0].tables[0].rows:
        print("  ".join(f"{cell:<26}" for cell in row).rstrip())
    write_html(args.out, "MetaDrive and the CARLA stand-in", {"plan": vars(plan)}, parts)
    print(f"written: {args.out}")


if __name__ == "__main__":
    main(tyro.cli(Args))
