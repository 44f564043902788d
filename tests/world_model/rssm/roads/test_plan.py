"""Road that goes on piece by piece."""

from __future__ import annotations

import itertools

import pytest
import torch

from learned_sim_env.road import STATION, STATIONS
from learned_sim_env.world_model.geometry import compose
from learned_sim_env.world_model.rssm.roads import plan
from learned_sim_env.world_model.rssm.roads.library import LEAD
from learned_sim_env.world_model.rssm.route.landmarks import FAR, OBSTACLES
from learned_sim_env.world_model.rssm.route.path import chain

RIM = 8


def begun(library, b=3, piece=0, moved=0.0):
    """A state on a straight route, of which something was seen up to `RIM`, before the chain `moved` on so far [m]."""
    state = plan.empty(b, "cpu")
    state["route"] = chain(torch.zeros(b, STATIONS), torch.zeros(b, 6))
    state["route_end"] = torch.full((b, 3), FAR)
    state["obstacles"] = torch.full((b, OBSTACLES, 2), FAR)
    state["age"] = torch.full((b,), float(plan.BEGIN))
    state["road_rim"][:] = RIM
    state["road_arc"][:] = moved
    state["road_options"][:, :, 0] = piece
    state["road_options"][:, :, 1] = LEAD
    return state


def along(library, state, steps, uniforms=None):
    """Drives along the chain: every state on the way."""
    states = []
    for t in range(steps):
        pose = state["route"][:, 1].clone()
        pose = compose(pose, torch.tensor([STATION + 0.1, 0.0, 0.0]).expand(len(pose), 3))
        uniform = None if uniforms is None else uniforms[t]
        state = {**state, **plan.follow(library, state, state["route"], pose, uniform)}
        state["age"] = state["age"] + 1
        states.append(state)
    return states


def on_pieces(library, state):
    """Distance of the chain's last station from the newest piece's route, where the piece says that it is."""
    newest = state["road_piece"][:, -1].long()
    at, _ = library.on_the_route(newest, state["road_arc"] / state["road_scale"][:, -1])
    pose = state["road_pose"][:, -1]
    there = torch.view_as_real(at) * state["road_scale"][:, -1:]
    there = compose(pose, torch.cat([there, torch.zeros(len(pose), 1)], 1))
    return (there[:, :2] - state["route"][:, -1, :2]).norm(dim=-1)


@pytest.mark.parametrize("moved", [0.0, 12.0])
def test_a_piece_lies_where_the_view_ended_as_far_on_as_the_ego(library, moved):
    state = along(library, begun(library, moved=moved), 1)[0]
    assert (state["road_piece"][:, -1] == 0).all()
    # The rim is a straight route's station: the piece begins there, and the ego was `moved` metres before.
    entry = state["road_pose"][0, -1]
    assert entry.tolist() == pytest.approx([(RIM - 1) * STATION - moved, 0.0, 0.0], abs=0.3)
    # What lies before the stations that it is laid under is not its to paint.
    assert state["road_from"][0, -1] == pytest.approx(moved + plan.BEYOND * STATION)
    assert (on_pieces(library, state) < 0.3).all()


def test_a_piece_that_is_over_before_it_could_begin_is_followed_by_another(library):
    state = along(library, begun(library, moved=500.0), 1)[0]
    assert (state["road_piece"][:, -2] == 0).all() and (state["road_from"][:, -2] == library.length[0]).all()
    assert (state["road_piece"][:, -1] >= 0).all()


def test_until_pieces_are_laid_it_is_counted_how_far_the_chain_moves_on(library):
    state = begun(library)
    state["age"][:] = 0
    after = along(library, state, 3)[-1]
    assert (after["road_piece"] == -1).all() and (after["road_arc"] == 3 * STATION).all()


def test_the_route_stays_on_the_pieces_and_these_follow_on_each_other(library):
    uniforms = torch.rand(60, 3, generator=torch.Generator().manual_seed(0))
    states = along(library, begun(library), 60, uniforms)
    for before, after in itertools.pairwise(states):
        assert (on_pieces(library, after) < 0.5).all()
        chords = after["route"][:, 1:, :2] - after["route"][:, :-1, :2]
        assert torch.allclose(chords.norm(dim=-1), torch.tensor(STATION), atol=0.2)
        new = (before["road_pose"][:, -1] != after["road_pose"][:, -1]).any(-1)
        old = before["road_piece"][:, -1].long()
        leaving = compose(before["road_pose"][:, -1], library.exit_pose[old])
        # Widths are alike in these maps, and so nothing is scaled by more than a little.
        gap = (leaving[:, :2] - after["road_pose"][:, -1, :2]).norm(dim=-1)
        assert (gap[new] < 1.0).all()
        assert not (new & library.last[old]).any()
    assert len({tuple(s["road_piece"][0].tolist()) for s in states}) > 2


def test_where_the_last_piece_ends_the_route_does(library):
    last = int(library.last.nonzero()[0, 0])
    state = along(library, begun(library, piece=last), 1)[0]
    exit_pose = compose(state["road_pose"][:, -1], library.exit_pose[[last] * 3])
    assert torch.allclose(state["route_end"], exit_pose)
    assert (state["route_end"][:, 0] < FAR).all()


def test_nothing_is_planned_where_the_end_of_the_route_was_seen(library):
    state = begun(library)
    state["road_rim"][:] = -1
    after = along(library, state, 3)[-1]
    assert (after["road_piece"] == -1).all()
    assert torch.equal(after["route"], state["route"])


def test_a_row_does_not_depend_on_the_others(library):
    uniforms = torch.rand(30, 5, generator=torch.Generator().manual_seed(1))
    together = along(library, begun(library, 5), 30, uniforms)[-1]
    alone = along(library, begun(library, 1), 30, uniforms[:, 3:4])[-1]
    for name in (*plan.KEYS, "route", "route_end"):
        assert torch.equal(together[name][3], alone[name][0]), name


def test_without_chance_the_likeliest_come(library):
    a, b = (along(library, begun(library, 1), 20)[-1]["road_piece"] for _ in range(2))
    assert torch.equal(a, b)


def test_what_stands_on_a_piece_stands_in_the_way_where_that_lies(coned):
    state = begun(coned)
    # Of many obstacles that were seen, one is ahead.
    state["obstacles"][:, :15] = torch.stack([-20 - torch.arange(15.0), torch.zeros(15)], -1)
    state["obstacles"][:, 15] = torch.tensor([9.0, 1.0])
    after = along(coned, state, 1)[0]
    found = after["obstacles"]
    near = found[(found < FAR).all(-1) & (found[..., 0] > -15)].view(3, 3, 2)
    # The rim is a straight route's station, where the piece begins.
    first = (RIM - 1 + plan.BEYOND) * STATION
    assert near[0, 0].tolist() == [9.0, 1.0]
    arc = plan.BEYOND * STATION
    assert first == pytest.approx(arc + (RIM - 1) * STATION)
    ahead = [(RIM - 1) * STATION + cone for cone in (20.0, 32.0) if cone >= arc]
    assert sorted(near[0, 1:, 0].tolist()) == pytest.approx(ahead, abs=0.5)


def test_nothing_stands_in_the_way_before_a_piece_counts(coned):
    state = begun(coned)
    # The piece counts from behind its cones on, and is over soon: another one follows at once.
    state["road_options"][:, :, 1] = LEAD + 7
    after = along(coned, state, 1)[0]
    assert (after["road_piece"][:, -2:] >= 0).all()
    found = after["obstacles"][0]
    entry = after["road_pose"][0, -1, :2]
    assert (found < FAR).all(-1).sum() == 2
    assert (found[:2] - entry).norm(dim=-1).tolist() == pytest.approx([20.0, 32.0], abs=0.5)


def test_of_two_pieces_laid_at_once_both_count(coned):
    state = begun(coned)
    # It counts from 32 m on, where the second cone stands.
    state["road_options"][:, :, 1] = LEAD + 5
    after = along(coned, state, 1)[0]
    assert (after["road_piece"][0, -2:] >= 0).all()
    assert (after["obstacles"][0] < FAR).all(-1).sum() == 3
