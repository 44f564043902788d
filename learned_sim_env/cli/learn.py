"""Learn to drive in a world model's imagination, with one of the agents."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import tyro

from learned_sim_env.agents.settings import POLICY, LearnConfig
from learned_sim_env.files import remove_unfinished
from learned_sim_env.locks import alone_in
from learned_sim_env.settings import check_at_least

Settings = TypeVar("Settings")


@dataclass(frozen=True, kw_only=True)
class LearnArgs(Generic[Settings]):
    """Learn to drive in a world model's imagination; the same command goes on with a run that was stopped.

    With --agent, --help shows the settings of that agent. The result is OUT/policy.safetensors, a driver like any other
    (`learned-sim drive --policy OUT/policy.safetensors --twin`).
    """

    out: Path
    """Folder of the run."""
    config: Annotated[LearnConfig, tyro.conf.arg(name="")] = field(default_factory=LearnConfig)
    settings: Annotated[Settings, tyro.conf.arg(name="")]
    data: Path | None = None
    """Folder of a collection, or a packed file, for agents that learn from recorded episodes."""
    judge: int = 0
    """Whole episodes of the simulator in which each policy that was kept drives in the end; 0: none. They are on
    validation scenarios, which no figure that is published may be chosen on otherwise."""
    sight: int = 0
    """Real moments from which the last policy drives in the dream in the end, by features that are imagined and by such
    that are filtered from what is drawn; 0: none."""
    threads: int = 1
    """CPU threads."""
    save_every: int = 100
    """Updates between saved states."""


def args_for(argv: Sequence[str]) -> Any:
    """`LearnArgs` with the settings of what `--agent` in `argv` names, and the defaults that suit it.

    Raises:
        ValueError: if there is no such agent.
    """
    from learned_sim_env.agents.agent import agent_class

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--agent", nargs="?", default=LearnConfig.agent)
    name = parser.parse_known_args(argv)[0].agent or LearnConfig.agent
    agent = agent_class(name)
    of_config = Annotated[LearnConfig, tyro.conf.arg(name="")]
    default = LearnConfig(**{"agent": name, **agent.run_defaults})
    return make_dataclass(
        "LearnArgs",
        [("config", of_config, field(default=default))],
        bases=(LearnArgs[agent.settings_class],),  # type: ignore[name-defined]
        namespace={"__doc__": LearnArgs.__doc__},
        frozen=True,
        kw_only=True,
    )


def run(args: LearnArgs[Any]) -> int:
    """Learn, drive in the simulator if asked to, and write the report."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with alone_in(args.out):
        return _run(args)


def _run(args: LearnArgs[Any]) -> int:
    import torch

    from learned_sim_env.agents.agent import agent_class
    from learned_sim_env.agents.learning import Learner
    from learned_sim_env.agents.results.judging import judged
    from learned_sim_env.agents.results.recorded_page import recorded_parts
    from learned_sim_env.agents.results.report import report
    from learned_sim_env.agents.results.sight import both_ways, sight_part
    from learned_sim_env.data.dataset import PackedData, packed_file
    from learned_sim_env.optional import require
    from learned_sim_env.world_model.checkpoint import from_pretrained

    check_at_least(args, judge=0, sight=0, threads=1, save_every=1)
    if args.sight and not agent_class(args.config.agent).by_features:
        raise ValueError(f"--sight compares features, which agent {args.config.agent} does not drive by: leave it out")
    require("matplotlib", extra="train")
    if args.judge:
        require("metadrive", extra="metadrive")
    remove_unfinished(args.out)
    torch.set_num_threads(args.threads)
    checkpoint = from_pretrained(args.config.checkpoint)
    data = None if args.data is None else PackedData.load(packed_file(args.data))
    learner = Learner(args.config, args.settings, checkpoint, args.out, data, args.save_every)
    try:
        learner.run()
    except KeyboardInterrupt:
        done = learner.progress["updates"]
        print(f"interrupted: update {done} of {args.config.updates} is saved, the same command goes on from it")
        raise
    episodes = judged(args.out, learner.progress["saved"], args.judge, checkpoint.contract.name)
    sight = [sight_part(both_ways(args.out / POLICY, args.sight))] if args.sight else []
    recorded = [] if data is None else recorded_parts(data)
    paths = report(args.out, learner.progress, episodes, [*sight, *recorded])
    print(f"written: {', '.join(map(str, (args.out / POLICY, *paths)))}")
    return 0
