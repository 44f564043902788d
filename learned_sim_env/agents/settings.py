"""Settings that all agents share, and those of all that learn by dreaming; each agent has its own beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from learned_sim_env.settings import check_at_least
from learned_sim_env.spec import unknown

# Of `DreamSettings.dream`, by whether features tell of road that is imagined beyond what was seen.
DREAM_STEPS = {False: 40, True: 100}

# In the folder of a run; `POLICY` is the last policy.
RUN, STATE, METRICS, POLICY = "run.json", "state.safetensors", "metrics.jsonl", "policy.safetensors"


@dataclass(frozen=True)
class LearnConfig:
    """Settings of a run, stored in its folder, so that it is resumed with the same ones."""

    agent: str = "dreamer"
    """What learns: dreamer, safe-dreamer, cloning, pmpo, tdmpc2 or jepa-goal; or plans: mppi, cem, osrp or osrp-lag."""
    checkpoint: str = "bev-rssm"
    """World model to learn in, frozen: one that ships, the path of a folder (./mine), or hf://owner/name."""
    updates: int = 2000
    """Updates in all."""
    minutes: float = 0.0
    """Of wall-clock after which the run is over, if it comes before the last update; 0: no such limit."""
    steps: int = 0
    """Of imagination, or of recorded driving, after which the run is over likewise; 0: no such limit."""
    seed: int = 0
    saves: int = 5
    """Policies that are kept: the last, that of half the run, of a quarter, and so on."""

    def __post_init__(self) -> None:
        check_at_least(self, updates=1, minutes=0, steps=0, saves=1)


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """What is decided, and what a step is worth; `learned-sim transfer` sets PPO the same task."""

    actions: str = "targets"
    """What is decided: targets (sideways and speed, which a route follower carries out), actions (steer and
    throttle_brake), or discrete (30 actions)."""
    speed_limit: float = 8.0
    """[m/s] Above which progress pays less again; 0: none."""
    cost_weight: float = 30.0
    """Of a crash, subtracted from the reward: to drive on briskly must not be worth one."""
    wrong_way_weight: float = 30.0
    """Of a step against the traffic, subtracted from the reward."""
    penalty: float = 0.0
    """Weight of the model's uncertainty, subtracted from the reward (MOPO, arXiv 2005.13239)."""

    def __post_init__(self) -> None:
        # It loads torch, which the help of the command can do without.
        from learned_sim_env.agents.decisions import ACTION_KINDS

        check_at_least(self, speed_limit=0, penalty=0)
        if self.actions not in ACTION_KINDS:
            raise unknown("actions", self.actions, ACTION_KINDS)


@dataclass(frozen=True, kw_only=True)
class DreamSettings(TaskSettings):
    """How an agent dreams."""

    rows: int = 256
    """Dreams that advance together."""
    horizon: int = 32
    """Steps of each of them between updates: what comes of a decision within these is seen, later only estimated."""
    dream: int = 0
    """Steps after which a dream is left and another begins at a real moment; its value is then estimated. 0: 100 if the
    features of the world model tell of road that it imagines, else 40, since later on the ego has left what was seen
    when the dream began, as it never does outside of dreams."""
    moments: int = 2000
    """Of training episodes at which dreams begin beside those of the checkpoint, if episodes are given (--data); 0:
    none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, rows=1, horizon=1, dream=0, moments=0)

    def suited(self, model: Any) -> DreamSettings:
        """The same, with `dream` as it suits the world model, if nothing was said of it."""
        # It loads torch.
        from learned_sim_env.world_model.protocol import RoadModel

        told = isinstance(model, RoadModel) and model.tells_imagined_road
        return replace(self, dream=self.dream or DREAM_STEPS[told])
