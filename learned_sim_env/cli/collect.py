"""Record driving data in a simulator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from learned_sim_env.spec import CONTRACTS

if TYPE_CHECKING:
    from learned_sim_env.data.collect import CollectConfig


@dataclass(frozen=True)
class CollectArgs:
    """Record driving data in a simulator, resuming what is already in the folder, and store it as a Minari dataset."""

    out: Path
    """Folder of the collection; its Minari dataset is OUT/data. Minari knows it if OUT is called NAME-v0 and the
    variable MINARI_DATASETS_PATH names the folder that OUT is in."""
    episodes: int
    """Number of episodes in all, those already there included."""
    simulator: str = "metadrive"
    """Simulator to drive in: metadrive, carla or recorded, which drives in recordings."""
    split: Literal["train", "test"] = "train"
    """Which scenario seeds to use: train 0 to 999999, test 1000000 to 1999999."""
    seed_start: int = 0
    """How many seeds of the split to leave out at its start."""
    max_steps: int = CONTRACTS["driving"].max_episode_steps
    """Length at which an episode is cut off, in steps of 0.1 s."""
    workers: int = 2
    """Simulator processes; a CARLA server serves one."""
    engine: Literal["local", "ray"] = "local"
    """What runs them: processes of this machine, or actors of a Ray cluster, whose machines have this package."""
    address: str = ""
    """Of the Ray cluster, "auto" for one that this machine belongs to; by default one is started here."""
    settings: tuple[str, ...] = ()
    """Of the simulator, as in: port=2000 town=Town03, or recordings=my/logs."""
    contract: str = ""
    """Contract to keep: driving, or driving-camera, whose cameras are recorded as well; driving unless the modalities
    say otherwise."""
    modalities: str = ""
    """What to record, as in: front,left,right,bev,ego,route. By default what the contract's environments show,
    and bev."""
    flat: bool = False
    """Write a second Minari dataset beside OUT, with what a small network sees of each moment: for offline learning."""


def run(args: CollectArgs) -> int:
    """Collect; 0 when every seed was recorded, 1 when some had to be skipped."""
    from learned_sim_env.data.collect import collect

    try:
        summary = collect(config_of(args))
    except KeyboardInterrupt:
        print("interrupted: finished episodes are kept, the same command goes on from them")
        raise
    print(summary)
    return 1 if summary.failed else 0


def config_of(args: CollectArgs) -> CollectConfig:
    """What is asked for; `ValueError` if it cannot be."""
    from learned_sim_env.data.collect import CollectConfig
    from learned_sim_env.data.engines import Engine

    names = tuple(name.strip() for name in args.modalities.split(",") if name.strip())
    own = {name: value for name, value in vars(args).items() if name not in ("engine", "address")}
    return CollectConfig(**{**own, "modalities": names, "engine": Engine(args.engine, args.address)})
