"""Drives as long as episodes, counted and compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from learned_sim_env.evaluation.drives.drives import Drives, DrivesConfig
from learned_sim_env.evaluation.ladder import find_level
from learned_sim_env.evaluation.levels.world.compared import compare
from learned_sim_env.evaluation.levels.world.contents import MEASURES, count
from learned_sim_env.evaluation.levels.world.ends import reasons, shares, within_doubt
from learned_sim_env.evaluation.levels.world.world import WorldConfig, measure_world
from learned_sim_env.evaluation.levels.world.world_part import world_part
from learned_sim_env.measures.bootstrap import resample
from learned_sim_env.spec import CONTRACTS, SemanticClass
from tests.toy_model import toy_checkpoint

CONTRACT = CONTRACTS["driving"]
CONFIG = DrivesConfig(steps=100, every=5)
DRAWN = CONFIG.drawn
NAMES = [measure.name for measure in MEASURES]


def straight_road(width: int = 10) -> np.ndarray:
    """(64, 64) uint8: the route, so wide, with the ego on it."""
    view = np.full((64, 64), SemanticClass.OFF_ROAD, np.uint8)
    left = CONTRACT.bev.ego_column - width // 2
    view[:, left : left + width] = SemanticClass.ROUTE
    view[:, [left - 1, left + width]] = SemanticClass.SOLID_LINE
    return view


def drives(n: int = 3, speed: float = 10.0, **changes) -> Drives:
    """Drives along a straight road."""
    shape = (n, len(DRAWN))
    ego = np.zeros((*shape, 6), np.float32)
    ego[..., 0] = speed
    made = Drives(
        running=np.ones(shape, bool),
        finite=np.ones(n, bool),
        frames={},
        views=np.broadcast_to(straight_road(), (*shape, 64, 64)).copy(),
        ego=ego,
        ends=np.full(n, "time_limit"),
        doubt=np.zeros(shape, np.float32),
        doubted=np.zeros(n, bool),
        doubted_at=np.full(n, 100),
    )
    return replace(made, **changes)


def counted(side: Drives) -> dict[str, float]:
    seconds = np.diff(DRAWN, prepend=0) * CONTRACT.dt
    counts = count(side, side.running, seconds, CONTRACT.bev)
    return dict(zip(NAMES, counts.over(np.ones((3, len(side.running))), np.array(DRAWN) > 0).value))


def test_what_is_met_is_counted_per_kilometre_and_per_view():
    side = drives(n=1)
    # 100 m are driven: past a junction, that is in view for four moments, and around a bend.
    side.views[0, 6:10, 30:40, 32:] = SemanticClass.ROAD
    side.ego[0, 12:15, 1] = 10.0 / 40.0
    # Two cars and a cone, in every view.
    side.views[:, :, 5:9, 32] = side.views[:, :, 20:24, 30] = SemanticClass.VEHICLE
    side.views[:, :, 14, 34] = SemanticClass.STATIC_OBJECT
    found = counted(side)
    assert found["junctions and ramps per km"] == pytest.approx(10.0)
    assert found["bends per km"] == pytest.approx(10.0)
    assert found["roadway of the route [m]"] == pytest.approx(7.5)
    assert found["vehicles per km of view"] == pytest.approx(2 / 0.048)
    assert found["objects per km of view"] == pytest.approx(1 / 0.048)
    assert found["rim to area of roads [1/m]"] == pytest.approx(2 / (12 * 0.75), rel=0.05)
    assert found["implausible pixels [%]"] < 0.2


def test_a_flicker_is_no_junction_and_what_was_there_at_first_was_not_met():
    side = drives(n=1)
    side.views[0, [0, 1, 8], 30:40, 32:] = SemanticClass.ROAD
    assert counted(side)["junctions and ramps per km"] == 0


def test_moments_past_the_end_do_not_count():
    side = drives(n=1)
    side.running[0, 5:] = False
    side.views[0, 7:12] = SemanticClass.VEHICLE
    assert counted(side)["vehicles per km of view"] == 0
    side.running[:] = False
    assert np.isnan(list(counted(side).values())).all()


def test_an_environment_would_have_ended_a_dream_where_doubt_rose():
    side = drives(ends=np.array(["arrival", "collision", "time_limit"]))
    side.doubted[:2], side.doubted_at[:2] = [True, False], [40, 100]
    assert reasons(side).tolist() == ["uncertainty", "collision", "time_limit"]
    assert within_doubt(side, np.array(DRAWN)).sum(1).tolist() == [9, len(DRAWN), len(DRAWN)]
    found = shares(side, resample(np.arange(3), 3, 20, 0))
    assert {name: float(e.value) for name, e in found.items()} == pytest.approx(
        {"collision": 1 / 3, "time_limit": 1 / 3, "uncertainty": 1 / 3}
    )


def town(n: int, seed: int) -> Drives:
    """Drives along roads of different widths, with cars here and there."""
    rng, side = np.random.default_rng(seed), drives(n)
    for row, wide in zip(side.views, rng.choice([6, 10, 14], n)):
        row[:] = straight_road(int(wide))
        for view in row:
            view[rng.integers(0, 40), 32] = SemanticClass.VEHICLE
    return side


def test_drives_like_the_simulators_are_found_so_and_others_are_not():
    twin, same, bare = town(40, 0), town(40, 1), drives(40)
    # Frayed, and doubted where it is.
    rng = np.random.default_rng(2)
    for i in range(0, 40, 2):
        spots = rng.integers(0, 64, (2, 200))
        bare.views[i, 4:, spots[0], spots[1]] = SemanticClass.ROAD
        bare.doubt[i, 4:] = 0.3
    alike, unlike = (
        world_part("careful", compare(side, twin, DRAWN, [100], CONTRACT, 50, 0), side, twin, CONFIG, CONTRACT.dt)
        for side in (same, bare)
    )
    assert alike.values["frechet"]["ratio"][0]["value"] < 1.5 < unlike.values["frechet"]["ratio"][0]["value"]
    assert unlike.values["doubt_auroc"][0]["value"] > 0.9
    verdicts = {t.name: t.met for t in unlike.targets}
    assert not verdicts["vehicles per km of view, up to 100 steps: off by"]
    assert {t.name: t.met for t in alike.targets}["roadway of the route [m], up to 100 steps: off by"]
    assert verdicts["share of dreams cut off by doubt"]
    (picture,) = alike.pictures.values()
    assert picture.shape == (8 * 2 * 66, 2 * 66, 3)


def test_the_level_says_what_it_needs(tmp_path: Path):
    level = find_level("world")
    blind = SimpleNamespace(draws=("route",), observes=("ego",))
    assert "not bev" in level.reason_not_applicable(SimpleNamespace(model=blind, training={}))
    elsewhere = SimpleNamespace(seeds=np.array([3]), simulators=np.array(["nuscenes"]))
    (part,) = measure_world(toy_checkpoint(), elsewhere, tmp_path, 1)
    assert "no episode was recorded in metadrive" in part.values["not_applicable"]
    with pytest.raises(ValueError, match="no drivers"):
        WorldConfig(drivers=())


@pytest.mark.slow
def test_dream_and_simulator_are_driven(tmp_path: Path):
    pytest.importorskip("metadrive", reason="MetaDrive is not installed")
    here = SimpleNamespace(seeds=np.array([9, 19]), simulators=np.array(["metadrive"] * 2))
    config = WorldConfig(drives=2, drivers=("follow-6",), before=0, steps=10, replicates=10)
    (part,) = measure_world(toy_checkpoint(), here, tmp_path, 1, config)
    assert part.name == "world_follow-6" and part.values["drives"] == 2
    assert part.values["under_way"] == {"dream": [2], "simulator": [2]}
    assert part.values["contents"]["roadway of the route [m]"]["simulator"][0]["value"] > 3
