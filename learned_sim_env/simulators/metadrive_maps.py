"""Maps of MetaDrive's scenarios without anything that moves: a second each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from learned_sim_env.scene import RoadMap
from learned_sim_env.simulators.metadrive import MetaDriveScenario, MetaDriveSimulator, make_env, road_map
from learned_sim_env.spec import CONTRACTS


def scenario_maps(seeds: Iterable[int]) -> Iterator[tuple[int, RoadMap]]:
    """Seeds and the maps of their scenarios, one for each exit of the last block to which the route may lead.

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
            env.engine.seed(seed)
            current = PGMap(env.current_map.config.copy().update({**changes, "seed": seed}))
            begin = (FirstPGBlock.NODE_1, FirstPGBlock.NODE_2, 0)
            for socket in current.blocks[-1].get_socket_list():
                checkpoints = current.road_network.shortest_path(begin, socket.positive_road.end_node)
                if len(checkpoints) > 1:
                    yield seed, road_map(current, checkpoints)
            current.detach_from_world()
            current.destroy()
    finally:
        if env is not None:
            env.close()
        simulator.close()
