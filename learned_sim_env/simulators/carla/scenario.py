"""What the seed of an episode decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.simulators.carla.roads import RoadNetwork
from learned_sim_env.simulators.carla.routes import Route, draw_route

# Named weathers of CARLA that a random one is drawn from.
WEATHERS = ("ClearNoon", "CloudyNoon", "WetNoon", "HardRainNoon", "SoftRainSunset", "ClearSunset", "ClearNight")


@dataclass(frozen=True, eq=False)
class CarlaScenario:
    """route: to drive. vehicles, walkers, props: how many to try to place. weather: a name in `WEATHERS`."""

    route: Route
    vehicles: int
    walkers: int
    props: int
    weather: str

    @staticmethod
    def draw(
        network: RoadNetwork, rng: np.random.Generator, tag: str | None, vehicles: tuple[int, int], walkers: int
    ) -> CarlaScenario:
        """Drawn by `rng`; with `tag`, one whose route or traffic has it. vehicles: least and most; walkers: most."""
        place = tag if tag not in ("traffic", "objects") else None
        low, high = vehicles
        if tag == "traffic":
            low = (low + high) // 2
        with_props = tag == "objects" or rng.random() < 0.3
        return CarlaScenario(
            route=draw_route(network, rng, place),
            vehicles=int(rng.integers(low, high + 1)),
            walkers=int(rng.integers(0, walkers + 1)),
            props=int(rng.integers(2, 6)) if with_props else 0,
            weather=str(rng.choice(WEATHERS)),
        )
