"""The experiment from dream to twin, with agents beside PPO: as many steps, as many minutes, the same judge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from learned_sim_env.agents.agent import agent_class
from learned_sim_env.agents.settings import POLICY, RUN, LearnConfig
from learned_sim_env.reinforcement.jobs import STEP_SECONDS, Job, Judge, Match, Train
from learned_sim_env.reinforcement.transfer import TransferPlan
from learned_sim_env.spec import unknown

# Without a limit of updates: steps, or minutes, end a run.
ENDLESS = 10**9
# Agents that lend a planner their values, the first of these that takes part.
GUIDES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("mppi", "cem"), ("dreamer", "safe-dreamer")),
    **dict.fromkeys(("osrp", "osrp-lag"), ("safe-dreamer",)),
}


def named(text: str) -> tuple[str, dict[str, Any]]:
    """The agent, and its settings that are not the defaults, of a name such as "dreamer:hold=4,hidden=128+128".

    Raises:
        ValueError: if there is no such agent or setting, or what it is set to is of another kind.
    """
    name, _, told = text.partition(":")
    kind = agent_class(name).settings_class
    defaults = {f.name: getattr(kind(), f.name) for f in fields(kind)}
    known = {key: default for key, default in defaults.items() if isinstance(default, int | float | str | tuple)}
    given: dict[str, Any] = {}
    for part in filter(None, told.split(",")):
        key, _, value = part.partition("=")
        key = key.replace("-", "_")
        if key not in known:
            raise unknown(f"setting of agent {name}", key, known)
        try:
            given[key] = _as(known[key], value)
        except ValueError:
            raise ValueError(f"{text}: {key} is {value!r}, where the default is {known[key]}") from None
    kind(**given)
    return name, given


def _as(default: Any, text: str) -> Any:
    """What a text says, as something of the kind of `default`; parts of tuples stand apart by "+"."""
    if isinstance(default, tuple):
        return tuple(_as(default[0], part) for part in text.split("+"))
    return type(default)(text)


@dataclass(frozen=True)
class Learn:
    """An agent's run into the folder `path`. steps, minutes: after which it is over; 0: no such limit. settings: those
    of the agent that are not its defaults."""

    path: Path
    agent: str
    checkpoint: str
    seed: int
    steps: int = 0
    minutes: float = 0.0
    data: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def learns(self) -> bool:
        """Whether its agent does; a planner's run only measures it."""
        return bool(agent_class(self.agent).learns)

    @property
    def work(self) -> float:
        """[s]"""
        return 60 * self.minutes or self.steps * STEP_SECONDS["dream", "rays"] or 60.0

    @property
    def share(self) -> float:
        """Of its steps or minutes, those that it has."""
        if self.done:
            return 1.0
        if not (self.path / RUN).is_file() or not (self.steps or self.minutes):
            return 0.0
        done = json.loads((self.path / RUN).read_text(encoding="utf-8"))
        return min(done["steps"] / self.steps if self.steps else done["seconds"] / 60 / self.minutes, 0.999)

    @property
    def done(self) -> bool:
        """Whether its last policy is written."""
        return self.policy.is_file()

    @property
    def policy(self) -> Path:
        """The file of its last policy."""
        return self.path / POLICY

    def run(self) -> None:
        """Learn."""
        import torch

        from learned_sim_env.agents.learning import Learner
        from learned_sim_env.data.dataset import PackedData, packed_file
        from learned_sim_env.world_model.checkpoint import from_pretrained

        torch.set_num_threads(1)
        kind = agent_class(self.agent)
        config = {
            **kind.run_defaults,
            "agent": self.agent,
            "checkpoint": self.checkpoint,
            "seed": self.seed,
            "saves": 1,
        }
        if self.learns:
            config |= {"updates": ENDLESS, "steps": self.steps, "minutes": self.minutes}
        data = None
        if self.data is not None:
            data = PackedData.load(packed_file(self.data))
        checkpoint = from_pretrained(self.checkpoint)
        Learner(LearnConfig(**config), kind.settings_class(**self.settings), checkpoint, self.path, data).run()


@dataclass(frozen=True)
class AgentPlan(TransferPlan):
    """The experiment, with agents."""

    agents: tuple[str, ...] = ()
    """Agents of `learned-sim learn` that take part, each once with as many steps as the longest runs of PPO in the
    dream, and once for --agent-minutes. Planners learn nothing; they use the values of dreamer or safe-dreamer, if
    these take part. Settings that are not the defaults stand behind the name: safe-dreamer:cost-limit=0.05,hold=4."""
    only_agents: bool = False
    """Leave out PPO, the drivers beside it, runs by steps and the ranking: agents alone, to compare their settings."""
    agent_minutes: float = 7.0
    """Wall-clock of their runs by time; PPO's longest take about 7 on one core."""
    data: Path | None = None
    """Folder of a collection, or a packed file, for agents that learn from recorded episodes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.agent_minutes > 0:
            raise ValueError(f"agent_minutes is {self.agent_minutes}; it must be more than 0")
        if self.only_agents and not self.agents:
            raise ValueError("only_agents leaves nothing to compare: name some, as in --agents dreamer safe-dreamer")
        for text in self.agents:
            name, _ = named(text)
            if agent_class(name).needs_data and self.data is None:
                raise ValueError(
                    f"agent {name} learns from recorded episodes: name their folder, as in --data runs/data"
                )

    def runs(self) -> dict[str, list[Train]]:
        """See `TransferPlan`."""
        return {} if self.only_agents else super().runs()

    def learned(self) -> dict[str, list[Learn]]:
        """The runs of each agent, by what they are called in tables."""
        steps = max(recipe.steps for place, recipe in self.kinds.values() if place == "dream")
        found = {}
        for name in self.agents:
            if not agent_class(named(name)[0]).learns:
                found[name] = [self._plan(name, seed) for seed in range(self.seeds)]
                continue
            if not self.only_agents:
                found[f"{name}, {steps:,} steps"] = [self._learn(name, seed, steps=steps) for seed in range(self.seeds)]
            found[f"{name}, {self.agent_minutes:g} minutes"] = [
                self._learn(name, seed, minutes=self.agent_minutes) for seed in range(self.seeds)
            ]
        return found

    def judged(self) -> dict[str, list[Judge]]:
        """See `TransferPlan`."""
        judged, seeds, contract = super().judged(), self.scenarios, self.contract
        agents = {
            kind: [
                Judge(self.out / "episodes" / f"{run.path.name}.json", str(run.policy), seeds, contract) for run in runs
            ]
            for kind, runs in self.learned().items()
        }
        return agents if self.only_agents else {**agents, **judged}

    def ranked(self) -> dict[str, Match]:
        """See `TransferPlan`."""
        ways = (self.checkpoint, self.contexts, self.repeats, self.stretch, self.most_steps)
        # Agents alone are not put in an order: they are driven in both for what they may have found in the dream.
        others = {} if self.only_agents else super().ranked()
        return others | {
            run.path.name: Match(self.out / "matched" / f"{run.path.name}.json", str(run.policy), *ways)
            for runs in self.learned().values()
            for run in runs
        }

    def stages(self) -> list[tuple[str, list[Job]]]:
        """See `TransferPlan`; what plans comes after what it takes its values from."""
        (train, jobs), *others = super().stages()
        runs = [run for of_kind in self.learned().values() for run in of_kind]
        learning = [run for run in runs if run.learns]
        planning: list[Job] = [run for run in runs if run not in learning]
        return [(train, [*jobs, *learning]), *([("plan", planning)] if planning else []), *others]

    def _learn(self, text: str, seed: int, steps: int = 0, minutes: float = 0.0) -> Learn:
        name, settings = named(text)
        path = self.out / "runs" / f"{_plain(text)}-{'steps' if steps else 'minutes'}-{seed}"
        return Learn(path, name, self.checkpoint, seed, steps, minutes, self.data, settings)

    def _plan(self, text: str, seed: int) -> Learn:
        name, settings = named(text)
        guides = [agent for guide in GUIDES.get(name, ()) for agent in self.agents if named(agent)[0] == guide]
        guided = {"guide": str(self._learn(guides[0], seed, minutes=1).path)} if guides else {}
        path = self.out / "runs" / f"{_plain(text)}-{seed}"
        return Learn(path, name, self.checkpoint, seed, settings={**guided, **settings})


def _plain(text: str) -> str:
    return text.translate(str.maketrans(":,=", "---"))
