"""Settings that all planners share."""

from __future__ import annotations

from dataclasses import dataclass

from learned_sim_env.agents.planning.search import SearchSettings
from learned_sim_env.agents.settings import TaskSettings
from learned_sim_env.settings import check_at_least, check_shares


@dataclass(frozen=True, kw_only=True)
class PlannerSettings(SearchSettings, TaskSettings):
    """How far and by what a planner looks ahead."""

    guide: str = ""
    """Folder of a run of dreamer or safe-dreamer in the same world model, whose values count where plans end and whose
    decisions are tried; without, nothing counts beyond."""
    sequences: int = 32
    """Plans drawn in an iteration."""
    futures: int = 4
    """In which each of them is imagined, the same for all plans of a decision; means over them count."""
    elites: int = 8
    """Of the plans, those that the next iteration is drawn about."""
    horizon: int = 15
    """Steps of a plan."""
    hold: int = 3
    """Steps for which each of its decisions is held; the first is taken anew at every step."""
    gamma: float = 0.99
    """Discount a step of 0.1 s."""
    proposals: int = 8
    """Of the plans, those that the guide decides."""
    stretch: int = 50
    """Steps that an update drives in the dream, to tell how well and how fast it plans."""

    def __post_init__(self) -> None:
        SearchSettings.__post_init__(self)
        TaskSettings.__post_init__(self)
        check_at_least(self, futures=1, horizon=1, hold=1, proposals=0, stretch=1)
        check_shares(self, "gamma")
        if self.actions not in ("targets", "actions"):
            raise ValueError(f"actions is {self.actions}; plans are of targets or actions")
        if self.proposals >= self.sequences:
            raise ValueError(f"proposals {self.proposals} must be fewer than sequences {self.sequences}")

    @property
    def decisions(self) -> int:
        """In a plan."""
        return -(-self.horizon // self.hold)
