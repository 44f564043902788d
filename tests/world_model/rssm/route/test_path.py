import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learned_sim_env.road import STATION, STATIONS, road_index
from learned_sim_env.scene import RoadMap
from learned_sim_env.spec import WAYPOINTS
from learned_sim_env.world_model.geometry import compose, points_from
from learned_sim_env.world_model.rssm.route.path import (
    PAST,
    SIDES,
    RoutePath,
    alongside,
    beside,
    chain,
    seen_from,
    waypoints,
)

NOWHERE = torch.zeros(1, 3)


def circle(radius, distance=0.0, error=0.0):
    """The chain of a route that is a circle to the left, as seen from an ego beside it."""
    turns = torch.full((1, STATIONS), STATION / radius)
    # A chord's heading is that of the arc in its middle.
    headings = turns.cumsum(1) - turns / 2
    return chain(headings, torch.tensor([[0, 0, 0, 0, distance, error]]))


@given(
    distance=st.floats(-5, 5),
    error=st.floats(-3, 3),
    turns=st.lists(st.floats(-0.15, 0.15), min_size=STATIONS, max_size=STATIONS),
)
@settings(max_examples=100, deadline=None)
def test_a_chain_keeps_what_was_observed(distance, error, turns):
    ego = torch.tensor([[0, 0, 0, 0, distance, error]])
    offset, heading_error, _ = alongside(chain(torch.tensor([turns]).cumsum(1), ego), NOWHERE)
    # Off the route by metres in a bend, the nearest chord is not quite the one beside the ego.
    assert abs(offset.item() - distance) < 1e-3 + 0.03 * abs(distance)
    assert abs(heading_error.item() - error) < 1e-3 + 0.03 * abs(distance)


@given(radius=st.sampled_from([15.0, 30.0, 200.0]), distance=st.floats(-3, 3), error=st.floats(-0.5, 0.5))
@settings(max_examples=30, deadline=None)
def test_driving_along_a_curve_keeps_offset_and_heading_error(radius, distance, error):
    path, route = RoutePath(), circle(radius, distance, error)
    pose = NOWHERE
    with torch.no_grad():
        for _ in range(30):
            # A step along a circle with the same centre, whichever way the ego looks.
            along = torch.tensor([[math.cos(error), -math.sin(error), 0.0]])
            turn = 1.0 / radius
            inner = radius - distance
            step = torch.cat([along[:, :2] * inner * math.sin(turn), torch.tensor([[turn]])], 1)
            sideways = inner * (1 - math.cos(turn))
            step[:, :2] += torch.tensor([[math.sin(error), math.cos(error)]]) * sideways
            pose = compose(pose, step)
            route = path.follow(route, pose, None)
            offset, heading_error, _ = alongside(route, pose)
            assert abs(offset.item() - distance) < 0.1
            assert abs(heading_error.item() - error) < 0.02


def test_a_station_that_was_passed_gives_way_to_a_new_one_and_the_others_stay():
    path, route = RoutePath(), circle(50.0)
    near = compose(NOWHERE, torch.tensor([[0.9 * STATION, 0.0, 0.0]]))
    assert torch.equal(path.follow(route, near, torch.tensor([0.5])), route)
    beyond = compose(NOWHERE, torch.tensor([[1.1 * STATION, 0.0, 0.0]]))
    on = path.follow(route, beyond, torch.tensor([0.5]))
    assert torch.equal(on[:, :-1], route[:, 1:])
    joint = route[:, -1, :2] + STATION * torch.stack([route[:, -1, 2].cos(), route[:, -1, 2].sin()], -1)
    torch.testing.assert_close(on[:, -1, :2], joint)
    assert {round(float(t), 5) for t in path.turns} >= {round(float((on[0, -1, 2] - on[0, -2, 2]).detach()), 5)}


def test_the_next_turn_is_drawn_from_what_is_guessed():
    path = RoutePath()
    torch.nn.init.zeros_(path.guess.output.weight)
    path.guess.output.bias.data.fill_(-20.0)
    path.guess.output.bias.data[[3, 20]] = torch.log(torch.tensor([1.0, 3.0]))
    route, pose = circle(1e6).expand(1000, -1, -1), torch.tensor([[5.0, 0.0, 0.0]]).expand(1000, -1)
    turn = path.follow(route, pose, torch.rand(1000, generator=torch.Generator().manual_seed(0)))[:, -2:, 2].diff()
    assert abs((turn - path.turns[3]).abs().lt(1e-5).float().mean() - 0.25) < 0.05
    likeliest = path.follow(route[:1], pose[:1], None)[:, -2:, 2].diff()
    assert torch.allclose(likeliest, path.turns[20], atol=1e-5)


def test_turns_are_learned():
    torch.manual_seed(0)
    path = RoutePath()
    optimizer = torch.optim.Adam(path.guess.parameters(), 1e-2)
    bends = torch.randint(-1, 2, (256, 1)) * 0.2
    headings = (bends * torch.ones(STATIONS)).cumsum(1)
    first = path.guess_loss(headings).mean().item()
    for _ in range(100):
        loss = path.guess_loss(headings).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * first
    guessed = path.turns[path.guesses(torch.full((PAST,), 0.2)).argmax(-1)]
    assert abs(guessed.item() - 0.2) < 0.05


def test_a_chain_seen_from_elsewhere_is_the_same_chain():
    route, pose = circle(40.0, 1.0, 0.2), torch.tensor([[7.0, -3.0, 2.0]])
    here = alongside(route, pose)
    there = alongside(seen_from(route, pose), NOWHERE)
    for a, b in zip(here, there):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


def test_what_lies_beside_a_route_is_told_by_its_side():
    straight = circle(1e9)
    places = torch.tensor([[[20.0, 3.0], [20.0, -3.0], [20.0, 0.0]]])
    left, right, on = beside(straight, places).features()[0]
    assert left[:SIDES].argmax() == (SIDES - 1) // 2 + 2
    assert right[:SIDES].argmax() == (SIDES - 1) // 2 - 2
    assert on[:SIDES].argmax() == (SIDES - 1) // 2
    torch.testing.assert_close(left[SIDES + 1], torch.tensor(0.3), atol=1e-4, rtol=0)


@given(radius=st.sampled_from([15.0, 40.0, 300.0, -25.0]), distance=st.floats(-2, 2), error=st.floats(-0.4, 0.4))
@settings(max_examples=40, deadline=None)
def test_waypoints_are_those_that_a_simulator_tells(radius, distance, error):
    """Of the same route, seen from the same place beside it."""
    angle = np.linspace(0, 120 / abs(radius), 400)
    route = radius * np.stack([np.sin(angle * np.sign(radius)), 1 - np.cos(angle)], -1)
    road = road_index(RoadMap((), (), route))
    at, heading = 20 / abs(radius), 20 / radius
    foot = radius * np.array([np.sin(at * np.sign(radius)), 1 - np.cos(at)])
    pose = np.array([*(foot + distance * np.array([-np.sin(heading), np.cos(heading)])), heading + error])
    left, offset, wrong = road.on_route(pose)
    headings = torch.tensor(road.route_headings(left)[None] - (heading), dtype=torch.float32)
    ego = torch.tensor([[0, 0, 0, 0, offset, wrong]], dtype=torch.float32)
    found = waypoints(chain(headings, ego), NOWHERE)[0].numpy()
    assert found.shape == (WAYPOINTS, 2)
    np.testing.assert_allclose(found, road.waypoints(pose), atol=0.15)


def test_waypoints_stay_where_they_are_while_the_ego_moves_and_turns():
    route, pose = circle(30.0), compose(NOWHERE, torch.tensor([[0.5 * STATION, 0.3, 0.4]]))
    first = waypoints(route, NOWHERE)
    later = points_from(waypoints(route, pose), pose)
    # Half a station on, each is half a station further along the same circle.
    middle = torch.tensor([0.0, 30.0])
    assert torch.allclose((later - middle).norm(dim=-1), torch.tensor(30.0), atol=0.15)
    assert torch.allclose((later - first).norm(dim=-1), torch.tensor(0.5 * STATION), atol=0.05)
