"""Maps of MetaDrive's scenarios and what stands on them, without anything that moves: a second each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from learned_sim_env.scene import RoadMap
from learned_sim_env.simulators.metadrive import MetaDriveScenario, MetaDriveSimulator, make_env, road_map
from learned_sim_env.spec import CONTRACTS


def scenario_maps(seeds: Iterable[int]) -> Iterator[tuple[int, RoadMap, np.ndarray]]:
    """Seeds and the maps of their scenarios, one for each exit of the last block to which the route may lead; and the
    objects that stand there (N, 5): x, y, heading, length and width, such as cones.

    Raises:
        ImportError: if MetaDrive is not installed.
        RuntimeError: if this process already has an engine, see `MetaDriveSimulator`.
    """
    contract = CONTRACTS["driving"]
    simulator, env = MetaDriveSimulator(contract), None
    try:
        from metadrive.component.map.pg_map import PGMap
        from metadrive.component.pgblock.first_block import FirstPGBlock

        for seed in seeds:
            scenario = MetaDriveScenario.draw(seed)
            if env is None:
                env = make_env(replace(scenario, traffic_density=0.0), seed, contract.dt)
                env.reset()
            changes = {"config": scenario.blocks, "lane_num": scenario.lane_count, "lane_width": scenario.lane_width}
            # As if it were the only one: an engine's own `seed` keeps to the scenarios that it was made for.
            env.engine.global_random_seed = seed
            current = PGMap(env.current_map.config.copy().update({**changes, "seed": seed}))
            objects = _objects(env.engine, current, seed, scenario.accident_probability)
            begin = (FirstPGBlock.NODE_1, FirstPGBlock.NODE_2, 0)
            for socket in current.blocks[-1].get_socket_list():
                checkpoints = current.road_network.shortest_path(begin, socket.positive_road.end_node)
                if len(checkpoints) > 1:
                    yield seed, road_map(current, checkpoints), objects
            current.detach_from_world()
            current.destroy()
    finally:
        if env is not None:
            env.close()
        simulator.close()


def _objects(engine: Any, current: Any, seed: int, probability: float) -> np.ndarray:
    """(N, 5): what MetaDrive would put on one of its maps, told without making it. Vehicles that have broken down are
    left out: they are among the road users.
    """
    from metadrive.component.static_object.traffic_object import TrafficObject
    from metadrive.manager.object_manager import TrafficObjectManager

    rows: list[tuple[float, ...]] = []

    class Told(TrafficObjectManager):
        def spawn_object(self, object_class: Any, **given: Any) -> Told:
            if issubclass(object_class, TrafficObject):
                size = (getattr(object_class, name).fget(object_class) for name in ("LENGTH", "WIDTH"))
                rows.append((*given["position"], given["heading_theta"], *size))
            return self

        def set_break_down(self) -> None:
            pass

    before, engine.map_manager.current_map = engine.map_manager.current_map, current
    try:
        manager = Told()
        manager.accident_prob = probability
        manager.reset()
    finally:
        engine.map_manager.current_map = before
    return np.array(rows, np.float64).reshape(-1, 5)
