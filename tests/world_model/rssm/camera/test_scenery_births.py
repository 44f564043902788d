"""Scenery that comes into reach: what is decided, when, and what is made of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from learned_sim_env.road import STATION, STATIONS
from learned_sim_env.spec import CONTRACTS, SceneryKind, SemanticClass
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.camera.scenery.births import BORN, UNIFORMS, SceneryBirths, interpolated, reach
from learned_sim_env.world_model.rssm.camera.scenery.lattice import (
    ALL,
    BESIDE,
    FAR_REACH,
    MARGIN,
    NEAR_REACH,
    SEEN_REACH,
    SHOWN,
    SIDE,
    Lattice,
)
from learned_sim_env.world_model.rssm.camera.scenery.roadside import KINDS
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN

BEV, SIZE, SLOTS = CONTRACTS["driving-camera"].bev, 128, 48
ROAD = 4.0  # [m] half of it


def likely(births: SceneryBirths, **chances: float) -> SceneryBirths:
    """The module, with what stands in a square by these chances, whatever is around."""
    with torch.no_grad():
        births.kinds.output.weight.zero_()
        births.kinds.output.bias.fill_(-30.0)
        births.kinds.output.bias[0] = torch.tensor(1 - sum(chances.values())).log()
        for name, chance in chances.items():
            births.kinds.output.bias[int(SceneryKind[name])] = torch.tensor(chance).log()
    return births


@pytest.fixture
def births() -> SceneryBirths:
    torch.manual_seed(0)
    births = SceneryBirths(BEV, SIZE, hidden=32).eval()
    return likely(births, TREE=0.04).requires_grad_(False)


def start(births: SceneryBirths, rows: int = 1, road: float = ROAD) -> State:
    """On a straight road along x, nothing beside it."""
    cells, origin = births.memory.empty(rows)
    y = (torch.arange(SIZE) + SIZE // 2) % SIZE - SIZE // 2
    on = (y * BEV.metres_per_pixel).abs() <= road
    cells[:] = torch.where(on, int(SemanticClass.ROAD), int(SemanticClass.OFF_ROAD)).short()
    pose = torch.zeros(rows, 3)
    return {
        "map": cells,
        "map_origin": origin,
        "pose": pose,
        "route": torch.zeros(rows, STATIONS + 1, 3),
        "scenery_pose": torch.zeros(rows, SLOTS, 3),
        "scenery_size": torch.ones(rows, SLOTS, 3),
        "scenery_kind": torch.zeros(rows, SLOTS, dtype=torch.uint8),
        "scenery_colour": torch.zeros(rows, SLOTS, 4),
        **births.initial(pose),
    }


def drive(
    births: SceneryBirths, state: State, places: list[float], seed: int = 0, temperature: float = 1.0
) -> list[State]:
    """States at places along the road; the map goes on with it."""
    generator, states = torch.Generator().manual_seed(seed), []
    for x in places:
        pose = torch.zeros_like(state["pose"])
        pose[:, 0] = x
        route = torch.zeros_like(state["route"])
        route[..., 0] = x + STATION * (torch.arange(STATIONS + 1) - 1)
        origin = torch.full_like(state["map_origin"], -SIZE // 2)
        origin[:, 0] += round(x / BEV.metres_per_pixel)
        uniforms = torch.rand(len(pose), UNIFORMS, generator=generator)
        chance = births.chance(uniforms, temperature, pose)
        state = {**state, "pose": pose, "route": route, "map_origin": origin, "scenery_chance": chance}
        state = {**state, **births(state)}
        states.append(state)
    return states


def placed(state: State, row: int = 0) -> Tensor:
    """(N, 2): where things are."""
    return state["scenery_pose"][row, state["scenery_kind"][row] > 0, :2]


def ever(states: list[State], row: int = 0) -> set[tuple[float, float]]:
    return {tuple(place) for state in states for place in placed(state, row).tolist()}


def test_squares_are_decided_once_however_the_ego_goes_to_and_fro(births):
    along = [0.8 * i for i in range(60)]
    there = drive(births, start(births), along)[-1]
    again = drive(births, there, [*along[:-6:-1], *along[-5:]] * 3, seed=1)
    assert len(ever([there])) > 10
    # Only what lies beyond what was in reach before can be new.
    assert ever(again) == ever([there])
    number = births.lattice.numbers(placed(there))
    assert len(number.unique(dim=0)) == len(number)


def test_as_much_is_born_as_is_likely_and_never_on_the_road(births):
    rows, metres = 16, 130
    states = drive(births, start(births, rows), [1.5 * i for i in range(int(metres / 1.5))])
    found = [torch.tensor(sorted(ever(states, row))) for row in range(rows)]
    # Between those that were in reach at the start and at the end, and where both sides are decided for sure.
    counts = [((x > 70) & (x < 130) & (y.abs() < 30) & (y.abs() > ROAD + 4)).sum() for x, y in (f.T for f in found)]
    expected = 0.04 * 60 * 2 * (30 - ROAD - 4) / births.lattice.side**2
    assert torch.stack(counts).float().mean().item() == pytest.approx(expected, rel=0.15)
    # What was decided before its map was known is taken away from the road as soon as it is.
    for state in states:
        for row in range(rows):
            place = placed(state, row)
            ids = births.memory.read(state["map"][row, None], state["map_origin"][row, None], place[None])[0]
            assert (place[ids != UNKNOWN, 1].abs() > ROAD - 0.4).all()


def test_they_appear_far_away(births):
    before: set[tuple[float, float]] = set()
    for state in drive(births, start(births), [0.8 * i for i in range(100)]):
        new, x = ever([state]) - before, state["pose"][0, 0]
        # What is just beside what could be seen at the start is decided in the first steps.
        if x > 15:
            assert all(torch.tensor(place).sub(torch.tensor([x, 0.0])).norm() > FAR_REACH - 6 for place in new)
        before |= new
    assert len(before) > 20


def test_thin_things_appear_where_the_map_is_known(births):
    likely(births, LAMP=0.2)
    states = drive(births, start(births), [0.8 * i for i in range(40, 80)])
    new = torch.tensor(sorted(ever(states[5:]) - ever(states[:5])))
    assert len(new) > 5 and (states[-1]["scenery_kind"].unique() <= SceneryKind.LAMP).all()
    assert new[:, 0].max() < states[-1]["pose"][0, 0] + NEAR_REACH + 3


def test_what_turns_out_to_stand_on_the_road_is_taken_away(births):
    births.clear[SceneryKind.TREE] = 2.0
    state = start(births)
    state["scenery_kind"][0, :4] = int(SceneryKind.TREE)
    near, beside, far, clear = (10.0, 0.0), (40.0, ROAD + 1), (42.0, 1.0), (41.0, -ROAD - 4)
    state["scenery_pose"][0, :4, :2] = torch.tensor([near, beside, far, clear])
    known = state["map"].clone()
    state["map"][:] = UNKNOWN
    likely(births, TREE=1e-6)
    assert len(placed(drive(births, state, [0.0])[-1])) == 4
    # What is near was really seen there.
    assert ever(drive(births, {**state, "map": known}, [0.0])) == {near, clear}


def test_what_is_left_behind_is_forgotten(births):
    last = drive(births, start(births), [0.8 * i for i in range(100)])[-1]
    assert len(placed(last)) > 8
    away = placed(last) - last["pose"][0, :2]
    far = away.norm(dim=-1)
    assert far.max() < FAR_REACH + MARGIN + 3 and (far[away[:, 0] < -0.7 * far] < BESIDE + 3).all()


def test_a_square_in_which_something_stands_is_left_alone(births):
    state = start(births)
    likely(births, TREE=0.9)
    # Perception has found trees in every square that will be in reach.
    _, squares = births.lattice.due(
        state["scenery_decided"], torch.tensor([[2.0, 0.0, 0.0]]), SLOTS // 2, torch.tensor([FAR_REACH])
    )
    assert len(squares.row) == SLOTS // 2
    state["scenery_kind"][:, : SLOTS // 2] = int(SceneryKind.TREE)
    state["scenery_pose"][:, : SLOTS // 2, :2] = squares.middle
    new = drive(births, state, [2.0] * 6)[-1]
    number = births.lattice.numbers(placed(new))
    assert SLOTS // 2 < len(number) <= SLOTS and len(number.unique(dim=0)) == len(number)
    assert len(ever([new]) - {tuple(place) for place in squares.middle.tolist()}) > 0


def test_more_than_can_be_born_at_once_come_a_step_later(births):
    likely(births, TREE=0.15)
    states = drive(births, start(births), [1.5] * 16)
    counts = [0, *(len(placed(state)) for state in states)]
    assert max(b - a for a, b in pairwise(counts)) == BORN and counts[-1] < SLOTS
    _, waiting = births.lattice.due(states[-1]["scenery_decided"], states[-1]["pose"], 1, torch.tensor([FAR_REACH]))
    assert counts[-1] > 2 * BORN and not len(waiting.row)


def test_where_more_stands_than_can_be_remembered_the_near_is_as_likely(births):
    rows, chance = 8, 0.15
    likely(births, TREE=chance)
    states = drive(births, start(births, rows), [1.5 * i for i in range(90)])
    assert reach(states[-1], states[-1]["pose"]).median() < FAR_REACH - 10
    near = 0
    for row in range(rows):
        ever_near: set[tuple[float, float]] = set()
        for state in states:
            place = placed(state, row)
            ever_near |= {tuple(at) for at in place[(place - state["pose"][row, :2]).norm(dim=-1) < 30].tolist()}
        near += sum(75 < x < 125 and ROAD + 4 < abs(y) < 22 for x, y in ever_near)
    assert near == pytest.approx(rows * chance * 50 * 2 * (22 - ROAD - 4) / births.lattice.side**2, rel=0.2)


def test_nothing_stands_nearer_to_another_than_it_truly_does(births):
    births.apart[1:, 1:] = 9.0
    likely(births, TREE=0.5)
    places = placed(drive(births, start(births), [0.8 * i for i in range(60)])[-1])
    away = torch.cdist(places, places) + 100 * torch.eye(len(places))
    assert len(places) > 10 and away.min() >= 9.0


def test_without_chance_there_is_as_much_as_on_average_and_always_the_same(births):
    along = [1.5 * i for i in range(60)]
    cold = [drive(births, start(births), along, seed, temperature=0.0) for seed in (0, 1)]
    assert torch.equal(cold[0][-1]["scenery_pose"], cold[1][-1]["scenery_pose"])
    warm = [len(ever(drive(births, start(births), along, seed))) for seed in range(4)]
    assert len(ever(cold[0])) == pytest.approx(sum(warm) / len(warm), rel=0.25)
    none = births.chance(None, 1.0, torch.zeros(1, 3))
    assert torch.equal(none, births.chance(torch.rand(1, UNIFORMS), 0.0, torch.zeros(1, 3)) * (none == none) * 0)


def test_a_row_does_not_depend_on_the_others():
    torch.manual_seed(1)
    births = SceneryBirths(BEV, SIZE).eval().requires_grad_(False)
    births.kinds.output.bias[0] += 1.0
    rows = 37
    state = start(births, rows)
    state["scenery_pose"][..., :2] = torch.rand(rows, SLOTS, 2) * 60 - 10
    state["scenery_kind"] = torch.randint(0, KINDS + 1, (rows, SLOTS), dtype=torch.uint8)
    state["pose"] = torch.cat([torch.rand(rows, 2) * 4, torch.rand(rows, 1) * 6], -1)
    state["scenery_chance"] = births.chance(torch.rand(rows, UNIFORMS), 1.0, state["pose"])
    together = births(state)
    assert (together["scenery_kind"] > 0).any()
    for first, count in ((0, 1), (5, 2), (9, 16), (20, 17)):
        alone = births({name: value[first : first + count] for name, value in state.items()})
        for name, value in alone.items():
            assert torch.equal(value, together[name][first : first + count]), name


def test_the_lattice_knows_what_is_in_sight_and_what_is_behind():
    lattice = Lattice(BEV.metres_per_pixel)
    pose = torch.tensor([[123.4, -56.7, 2.5]])
    seen = lattice.seen(pose)
    assert seen.shape == (1, SIDE * SIDE) and seen.max() == ALL
    _, squares = lattice.due(torch.zeros_like(seen), pose, 1000, torch.tensor([FAR_REACH]))
    away = squares.middle - pose[0, :2]
    far = away.norm(dim=-1)
    cosine = (away @ torch.tensor([pose[0, 2].cos(), pose[0, 2].sin()])) / far
    assert 600 < len(far) < 1000 and (far < FAR_REACH).all() and (far.diff() > -0.02).all()
    assert torch.equal(lattice.numbers(squares.middle), squares.number)
    level = seen[0, squares.square]
    # Where pictures do not tell everything, something may still be born.
    assert torch.equal(level > 0, (cosine > SHOWN) & (far < SEEN_REACH))
    assert torch.equal(level == ALL, (cosine > SHOWN) & (far < NEAR_REACH))


def test_a_distribution_is_inverted_between_its_quantiles():
    levels = torch.tensor([0.1, 0.5, 0.9])
    at = torch.tensor([0.0, 0.1, 0.3, 0.5, 0.7, 1.0])
    found = interpolated(torch.tensor([1.0, 2.0, 10.0]).expand(6, 3), levels, at)
    torch.testing.assert_close(found, torch.tensor([0.75, 1.0, 1.5, 2.0, 6.0, 12.0]))
