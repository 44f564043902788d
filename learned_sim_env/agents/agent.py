"""What an agent is to the loop that trains it, and which agents there are."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from learned_sim_env.agents.settings import LearnConfig
from learned_sim_env.spec import unknown

if TYPE_CHECKING:
    # Not for the names of agents, which the help of commands shows.
    import torch
    from torch import Tensor, nn

    from learned_sim_env.data.packed import PackedData
    from learned_sim_env.world_model.checkpoint import Checkpoint

# Name -> module:class. A new agent is a new line here, see "A new agent" in CONTRIBUTING.md.
AGENTS = {
    "dreamer": "learned_sim_env.agents.actor_critic.dreamer:Dreamer",
    "safe-dreamer": "learned_sim_env.agents.actor_critic.safe_dreamer:SafeDreamer",
    "cloning": "learned_sim_env.agents.actor_critic.cloning:Cloning",
    "pmpo": "learned_sim_env.agents.actor_critic.pmpo:PMPO",
    "mppi": "learned_sim_env.agents.planning.mppi:MPPI",
    "cem": "learned_sim_env.agents.planning.cem:CEM",
    "osrp": "learned_sim_env.agents.planning.osrp:OSRP",
    "tdmpc2": "learned_sim_env.agents.own_model.tdmpc2:TDMPC2",
    "jepa-goal": "learned_sim_env.agents.own_model.jepa_goal:JepaGoal",
    "osrp-lag": "learned_sim_env.agents.planning.osrp:OSRPLag",
}


class DrivingPolicy(Protocol):
    """A policy that can be written to a file by which `drivers.open_driver` drives."""

    def save(self, path: Path) -> None:
        """Write a `.safetensors` file, by `drivers.network.write`."""
        ...


class Agent(Protocol):
    """What learns to drive from a frozen world model.

    The class is called with a `LearnConfig`, settings of its `settings_class`, a `Checkpoint`, and recorded episodes,
    which are None if none were given.
    """

    settings_class: ClassVar[type[Any]]
    """A dataclass with defaults: the agent's own settings, which become flags of `learned-sim learn`."""
    run_defaults: ClassVar[Mapping[str, Any]]
    """Settings of `LearnConfig` that suit the agent, where they are not those of others."""
    needs_data: ClassVar[bool]
    """Whether it cannot learn without recorded episodes."""
    learns: ClassVar[bool]
    """Whether more updates make it better; a planner's only measure it."""
    by_features: ClassVar[bool]
    """Whether its policy needs the world model's features alone, so that imagined and filtered ones can be compared."""
    progress: ClassVar[tuple[str, ...]]
    """Numbers of an update that the progress bar shows."""

    @property
    def module(self) -> nn.Module:
        """All that is learned or kept from update to update as weights and buffers, slow copies included."""
        ...

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        """Of parameters of `module`; None if nothing is learned."""
        ...

    def update(self, number: int) -> dict[str, float]:
        """Learn, the `number`-th time from 0: numbers to be logged. All chance follows from the seed and `number`.

        Returns:
            Among them "steps", of imagination or of recorded driving, that the update has learned from.
        """
        ...

    def policy(self, about: Mapping[str, Any]) -> DrivingPolicy:
        """What it has learned, as it is to be driven by; `about`: how it was trained, for the file."""
        ...

    def memory(self) -> dict[str, Tensor]:
        """What later updates depend on beside `module` and `optimizer`; saved with them."""
        ...

    def recall(self, memory: dict[str, Tensor]) -> None:
        """Take back what `memory` gave."""
        ...


def agent_class(name: str) -> Any:
    """The class of the `Agent` called `name`; `ValueError` if there is none."""
    if name not in AGENTS:
        raise unknown("agent", name, AGENTS)
    module, _, found = AGENTS[name].partition(":")
    return getattr(import_module(module), found)


def open_agent(config: LearnConfig, settings: Any, checkpoint: Checkpoint, data: PackedData | None = None) -> Agent:
    """A new agent of a run; its first weights follow from the seed.

    Raises:
        ValueError: if there is no such agent, or it needs episodes and none were given.
    """
    found = agent_class(config.agent)
    if found.needs_data and data is None:
        raise ValueError(
            f"agent {config.agent} learns from recorded episodes: name their folder, as in --data runs/data"
        )
    import torch

    torch.manual_seed(config.seed)
    return found(config, settings, checkpoint, data)
