"""Maps of scenarios, and what stands on them, are those of the simulator."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.spec import CONTRACTS, SemanticClass

pytest.importorskip("metadrive")

from learned_sim_env.simulators.metadrive import MetaDriveSimulator
from learned_sim_env.simulators.metadrive_maps import scenario_maps

# How many objects are in sight where a scenario begins.
SEEDS = {2: 0, 98: 1, 389: 12}


@pytest.fixture(scope="module")
def told():
    return list(scenario_maps(SEEDS))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_scenario_has_the_lanes_and_objects_that_the_simulator_has(told, seed):
    simulator = MetaDriveSimulator(CONTRACTS["driving"])
    try:
        scene = simulator.reset(seed, {})
    finally:
        simulator.close()
    agents, still = scene.agents, scene.agents.classes == SemanticClass.STATIC_OBJECT
    seen = np.column_stack([agents.poses[still], agents.sizes[still]])
    assert len(seen) == SEEDS[seed]
    mine = [(road_map, objects) for source, road_map, objects in told if source == seed]
    middles = np.array([lane.polygon.mean(0) for lane in scene.road_map.lanes])
    for road_map, objects in mine:
        assert np.allclose([lane.polygon.mean(0) for lane in road_map.lanes], middles, atol=1e-3)
        # Some may be out of reach.
        assert all(np.abs(objects - one).max(1).min() < 1e-3 for one in seen)
    assert any(np.allclose(road_map.route, scene.road_map.route, atol=1e-3) for road_map, _ in mine)
