"""How well a driver does in a simulator: whole episodes, judged by what is judged on roads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.drivers.catalogue import open_driver
from learned_sim_env.drivers.driver import observed_by
from learned_sim_env.environments.observations import shown
from learned_sim_env.road import road_index
from learned_sim_env.scene import SimulatorError
from learned_sim_env.spec import FAILURES, SemanticClass

if TYPE_CHECKING:
    from learned_sim_env.environments.twin import TwinDrivingEnv

# What is left of the score after running into a road user, as the CARLA leaderboard has it.
PENALTIES = {SemanticClass.VEHICLE: 0.6, SemanticClass.STATIC_OBJECT: 0.65, SemanticClass.PEDESTRIAN: 0.5}


@dataclass(frozen=True)
class EpisodeScore:
    """One episode of one driver in the twin.

    seed: of the scenario. steps: of 0.1 s. reward, cost: summed. completion: share of the route that was driven, 1 on
    arrival. end: its `end_reason`. speed: mean [m/s]. jerk: mean absolute change of acceleration [m/s^3]. wrong_way:
    share of steps against the traffic. score: completion times what `PENALTIES` leave times the share of steps that
    were not against the traffic.
    """

    seed: int
    steps: int
    reward: float
    cost: float
    completion: float
    end: str
    speed: float
    jerk: float
    wrong_way: float
    score: float

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def drive(twin: TwinDrivingEnv, name: str, seeds: Iterable[int]) -> Iterator[EpisodeScore]:
    """Drive the scenarios `seeds` with the driver called `name`, see `drivers.catalogue`.

    It is shown what it needs of the twin's contract, whatever the twin's own observations are.

    Raises:
        SimulatorError: if the simulator fails, which says nothing about the driving.
    """
    for seed in seeds:
        yield _episode(twin, name, seed)


def _episode(twin: TwinDrivingEnv, name: str, seed: int) -> EpisodeScore:
    twin.reset(seed=seed)
    act = open_driver(name, [seed], twin.simulator)
    needed = observed_by(act)
    began, over = np.ones(1, bool), False
    start = _left(twin)
    speeds = [float(twin.ego_vector[0])]
    reward = cost = wrong = 0.0
    while not over:
        seen = shown(twin.observed(needed), "dict", twin.contract)
        action = act({key: value[None] for key, value in seen.items()}, began)[0]
        _, gained, terminated, truncated, info = twin.step(action)
        began, over = np.zeros(1, bool), terminated or truncated
        reward, cost, wrong = reward + gained, cost + info["cost"], wrong + info["cost_terms"]["wrong_way"]
        speeds.append(float(twin.ego_vector[0]))
    steps, end = len(speeds) - 1, info["end_reason"]
    if end in FAILURES:
        raise SimulatorError(
            f"the simulator failed in scenario {seed}, after {steps} steps: {name} is not judged by it"
        )
    completion = 1.0 if end == "arrival" else float(np.clip((start - _left(twin)) / max(start, 1e-6), 0.0, 1.0))
    # What was touched, where the simulator tells; a touch that only the boxes tell of is mostly another vehicle's.
    hit = [PENALTIES[c] for c in twin.scene.contacts] or [PENALTIES[SemanticClass.VEHICLE]]
    penalty = float(np.prod(hit)) if end == "collision" else 1.0
    acceleration = np.diff(speeds) / twin.contract.dt
    jerk = float(np.abs(np.diff(acceleration)).mean() / twin.contract.dt) if steps > 1 else 0.0
    return EpisodeScore(
        seed=seed,
        steps=steps,
        reward=float(reward),
        cost=float(cost),
        completion=completion,
        end=end,
        speed=float(np.mean(speeds)),
        jerk=jerk,
        wrong_way=float(wrong / steps),
        score=completion * penalty * (1.0 - float(wrong / steps)),
    )


def _left(twin: TwinDrivingEnv) -> float:
    """Metres left of the route."""
    return road_index(twin.scene.road_map).on_route(twin.scene.ego.pose)[0]


def summary(episodes: list[EpisodeScore]) -> dict[str, float]:
    """Means over episodes, and the shares that ended in each way."""
    means = {
        name: float(np.mean([getattr(e, name) for e in episodes]))
        for name in ("score", "completion", "reward", "cost", "speed", "jerk", "wrong_way", "steps")
    }
    ends = {
        name: float(np.mean([e.end == end for e in episodes]))
        for name, end in (("success", "arrival"), ("collision", "collision"), ("off_road", "off_road"))
    }
    return {**means, **ends}
