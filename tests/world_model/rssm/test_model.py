"""The driving world model: what holds for any weights."""

from __future__ import annotations

import copy

import pytest
import torch

from learned_sim_env.spec import EGO_SIZE, SemanticClass
from learned_sim_env.task import EVENTS
from learned_sim_env.world_model.geometry import compose, points_from
from learned_sim_env.world_model.rssm.agents.births import BIRTH_GRID
from learned_sim_env.world_model.rssm.agents.boxes import KEYS, no_agents
from learned_sim_env.world_model.rssm.agents.neighbours import SIZE, Neighbours
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN
from learned_sim_env.world_model.rssm.route.landmarks import FAR, HALF_OBSTACLE
from learned_sim_env.world_model.rssm.route.path import HEADING_CHORDS, ROADWAY


def observed(model, contexts, rows=slice(None)):
    state = model.initial(len(contexts.ego[rows]))
    for t in range(5):
        seen = {"bev": torch.tensor(contexts.observations["bev"][rows, t]), "ego": torch.tensor(contexts.ego[rows, t])}
        state = model.observe(state, torch.tensor(contexts.actions[rows, t]), seen)
    return state


def drive(model, state, steps, noise=True, draw=False):
    for t in range(steps):
        generator = torch.Generator().manual_seed(t)
        b = len(state["pose"])
        action = torch.rand(b, 2, generator=generator) - 0.3
        state = model.imagine(state, action, torch.rand(b, model.noise_size, generator=generator) if noise else None)
        if draw:
            state = model.draw(state, ("bev",))[1]
    return state


@pytest.mark.parametrize("rows", [1, 2])
def test_a_model_learns_from_batches_of_any_size(model, rows):
    ego = torch.rand(rows, 6, requires_grad=True)
    model.inputs(ego, torch.zeros(rows, len(HEADING_CHORDS))).sum().backward()
    assert ego.grad is not None and ego.grad.all()


def test_the_last_view_is_drawn_back_as_it_was_seen(model, contexts):
    state = observed(model, contexts)
    drawn, _ = model.draw(state, ("bev",))
    view = drawn["bev"]
    seen = torch.tensor(contexts.observations["bev"][:, -1])
    # The ego and detected agents are painted over it, and what an agent hid has to be imagined.
    plain = (seen < 6) & (view < 6)
    assert torch.equal(view[plain], seen[plain])
    assert (view[:, 48, 32] == SemanticClass.EGO).all()


def test_nothing_but_pictures_depends_on_drawing(model, contexts):
    start = observed(model, contexts)
    blind, drawn = drive(model, start, 25), drive(model, start, 25, draw=True)
    assert torch.equal(model.features(blind), model.features(drawn))
    for name, value in model.decode(blind).items():
        assert torch.equal(value, model.decode(drawn)[name])
    assert torch.equal(model.decode(blind)["uncertainty"], model.decode(drawn)["uncertainty"])
    assert not torch.equal(blind["map"], drawn["map"])


def test_what_was_left_far_behind_does_not_depend_on_drawing_either(model, contexts):
    state = observed(model, contexts)
    # Another road user still stands where the ego was: out of the window of the map that follows the ego.
    state = {**state, **no_agents(len(state["h"]), model.config.slots, state["h"].device)}
    state["agent_class"][:, 0] = SemanticClass.VEHICLE
    state = model.at(state, torch.tensor([[57.0, 0.0, 0.0]]).expand(len(state["h"]), -1))
    drawn = model.draw(state, ("bev",))[1]
    blind, drawn = drive(model, state, 1), drive(model, drawn, 1)
    for name in ("agent_pose", "agent_motion", "surroundings"):
        assert torch.equal(blind[name], drawn[name]), name


def test_drawing_again_gives_the_same_picture(model, contexts):
    state = drive(model, observed(model, contexts), 10)
    drawn, state = model.draw(state, ("bev",))
    first = drawn["bev"]
    drawn, _ = model.draw(state, ("bev",))
    second = drawn["bev"]
    assert torch.equal(first, second)


def test_rows_do_not_see_each_other(model, contexts):
    together = observed(model, contexts)
    changed = {k: v.clone() for k, v in together.items()}
    for value in changed.values():
        value[1:] = value[1:].roll(1, 0)
    a, b = drive(model, together, 20, draw=True), drive(model, changed, 20, draw=True)
    for name in a:
        assert torch.equal(a[name][0], b[name][0]), name


def test_state_is_flat_batch_first_and_does_not_grow(model, contexts):
    state = observed(model, contexts)
    later = drive(model, state, 60, draw=True)
    assert later.keys() == state.keys()
    for name, value in later.items():
        assert value.shape == state[name].shape and value.dtype == state[name].dtype, name
        assert len(value) == 6


def test_the_pose_integrates_the_motion(model, contexts):
    state = observed(model, contexts)
    pose = state["pose"]
    for _ in range(15):
        state = model.imagine(state, torch.full((6, 2), 0.2), None)
        pose = compose(pose, model.decode(state)["motion"])
    assert torch.allclose(state["pose"], pose, atol=1e-5)


def test_the_ego_vector_repeats_action_and_motion(model, contexts):
    state = model.imagine(observed(model, contexts), torch.tensor([[0.25, -0.5]]).repeat(6, 1), None)
    decoded = model.decode(state)
    assert torch.equal(decoded["ego"][:, 2:4], torch.tensor([[0.25, -0.5]]).repeat(6, 1))
    assert torch.allclose(decoded["ego"][:, 1] * 0.1, decoded["motion"][:, 2], atol=1e-6)
    assert (decoded["ego"][:, 0] >= 0).all()


def test_features_tell_who_is_next_to_the_ego(model, contexts):
    state = observed(model, contexts)
    agents = no_agents(6, model.config.slots, "cpu")
    agents["agent_pose"][:, :2] = torch.tensor([[16.0, 0.3, 0.0], [-12.0, 3.5, 0.1]])
    agents["agent_motion"][:, :2, 0] = torch.rand(6, 2) * 8
    agents["agent_size"] = agents["agent_size"] * torch.tensor([4.5, 1.9])
    agents["agent_class"][:, :2] = int(SemanticClass.VEHICLE)
    state |= agents
    state["surroundings"] = model.around(state)
    for now in (state, drive(model, state, 1), drive(model, state, 8), model.at(state, torch.full((6, 3), 0.4))):
        wanted = Neighbours()(*(now[key] for key in KEYS), now["ego"][:, 0])
        # Behind these are the smallest gap and how long ago anything was real.
        assert torch.equal(model.decode(now)["features"][:, -SIZE - 2 : -2], wanted)
        assert wanted.any()


@pytest.mark.parametrize(("gap", "touched"), [(0.3, False), (-0.1, False), (-0.3, True), (-2.0, True)])
@pytest.mark.parametrize("side", ["ahead", "beside"])
def test_whose_boxes_overlap_has_collided(model, contexts, gap, touched, side):
    state, size = observed(model, contexts), torch.tensor([5.0, 2.0])
    place = (EGO_SIZE[0] / 2 + 2.5 + gap, 0.0) if side == "ahead" else (0.0, EGO_SIZE[1] / 2 + 1.0 + gap)
    agents = no_agents(6, model.config.slots, "cpu")
    agents["agent_pose"][:3, 1] = torch.tensor([*place, 0.0])
    agents["agent_size"][:3, 1] = size
    agents["agent_class"][:3, 1] = int(SemanticClass.VEHICLE)
    state |= agents
    state["surroundings"] = model.around(state)
    events = model.decode(state)["events"]
    assert (events[:3, EVENTS.index("collision")] == 1).all() == touched
    assert (events[3:] < 1).all() and (events[:, 1:] < 1).all()


def test_nobody_collides_with_what_is_far_away(model, contexts):
    state = observed(model, contexts) | no_agents(6, model.config.slots, "cpu")
    state["obstacles"] = torch.full_like(state["obstacles"], FAR)
    state["obstacles"][:3, 2] = torch.tensor([EGO_SIZE[0] / 2 + HALF_OBSTACLE + 1.0, 0.0])
    state["surroundings"] = model.around(state)
    collision = model.decode(state)["events"][:, EVENTS.index("collision")]
    assert ((collision[:3] > 0) & (collision[:3] < 1)).all() and (collision[3:] == 0).all()


@pytest.mark.parametrize(("ahead", "touched"), [(3.0, False), (2.2, True), (0.0, True)])
def test_what_stands_under_the_ego_was_hit(model, contexts, ahead, touched):
    state = observed(model, contexts)
    state["obstacles"] = torch.full_like(state["obstacles"], FAR)
    state["obstacles"][:3, 2] = torch.tensor([ahead, 0.5])
    state["surroundings"] = model.around(state)
    events = model.decode(state)["events"]
    assert (events[:3, EVENTS.index("collision")] == 1).all() == touched
    assert (events[3:] < 1).all() and (events[:, 1:] < 1).all()
    # It stays where it is: a step ahead, the ego is nearer.
    state["ego"][:, 0] = 8.0
    later = model.imagine(state, torch.zeros(6, 2), None)
    assert torch.equal(later["obstacles"], state["obstacles"])
    gap = later["surroundings"][:3, -1] if not touched else None
    assert gap is None or (gap < state["surroundings"][:3, -1]).all()


def test_whoever_comes_to_the_end_of_the_route_has_arrived(model, contexts):
    arrival, distance = EVENTS.index("arrival"), model.contract.arrival_distance
    state = observed(model, contexts)
    for ahead, aside, arrived in ((distance + 2, 0.0, 0), (distance - 2, 1.0, 1), (1.0, distance + 2, 0)):
        state["route_end"] = torch.tensor([ahead, aside, 0.0]).repeat(6, 1)
        assert (model.decode(state)["events"][:, arrival] - arrived).abs().max() < 0.001
    state["route_end"] = torch.full((6, 3), FAR)
    unknown = model.decode(state)["events"][:, arrival]
    assert ((unknown > 0) & (unknown < 1)).all()


def test_without_noise_it_repeats_itself_and_with_noise_it_branches(model, contexts):
    start = observed(model, contexts)
    assert torch.equal(drive(model, start, 8, noise=False)["h"], drive(model, start, 8, noise=False)["h"])
    a = model.imagine(start, torch.zeros(6, 2), torch.full((6, model.noise_size), 0.1))
    b = model.imagine(start, torch.zeros(6, 2), torch.full((6, model.noise_size), 0.9))
    assert not torch.equal(a["z"], b["z"])


def test_where_the_ego_is_told_to_be_nothing_else_has_moved(model, contexts):
    state = drive(model, observed(model, contexts), 5)
    same = model.at(state, state["pose"])
    for name, value in state.items():
        torch.testing.assert_close(same[name], value, rtol=1e-4, atol=1e-4, msg=name)
    pose = compose(state["pose"], torch.tensor([1.0, 0.5, 0.3]).expand(len(state["pose"]), 3))
    moved = model.at(state, pose)
    ground = [compose(s["pose"][:, None], s["agent_pose"]) for s in (state, moved)]
    there = state["agent_class"] > 0
    assert there.any()
    torch.testing.assert_close(ground[1][there], ground[0][there], rtol=1e-4, atol=1e-4)
    assert torch.equal(moved["pose"], pose) and torch.equal(moved["map"], state["map"])
    assert not torch.allclose(moved["ego"][:, 4:], state["ego"][:, 4:])
    assert torch.equal(moved["ego"][:, :4], state["ego"][:, :4])


def test_observing_after_imagining_continues_from_where_the_ego_went(model, contexts):
    state = drive(model, observed(model, contexts), 5, noise=False)
    seen = {"bev": torch.tensor(contexts.observations["bev"][:, 0]), "ego": torch.tensor(contexts.ego[:, 0])}
    state = model.observe(state, torch.zeros(6, 2), seen)
    assert (state["pose"] == 0).all()
    drawn, _ = model.draw(state, ("bev",))
    view = drawn["bev"]
    assert torch.equal(view[:, 5, :], seen["bev"][:, 5, :])


@pytest.mark.parametrize("batch", [1, 6])
def test_bfloat16_copy_is_close_and_leaves_the_model_alone(model, contexts, batch):
    rough = model.in_bfloat16()
    state = observed(model, contexts, slice(batch))
    a, b = drive(model, state, 3, noise=False), drive(rough, state, 3, noise=False)
    assert all(v.dtype == b[k].dtype for k, v in a.items())
    # Where two classes of a latent are about as likely, rounding decides which is the mode.
    close = torch.isclose(a["h"], b["h"], atol=0.1).all(1)
    assert close.float().mean() > 0.5 and not torch.equal(a["h"], b["h"])
    # The ego's own motion is never rounded.
    assert torch.equal(a["pose"], b["pose"])
    assert next(model.latent.parameters()).dtype == torch.float32


def test_road_users_appear_on_a_road(model, contexts):
    crowded = copy.deepcopy(model)
    crowded.births.ahead.bias.data[BIRTH_GRID**2] = -50.0  # somebody wants to appear in every step
    state, born = observed(crowded, contexts), 0
    for step in range(20):
        before = state["agent_class"] > 0
        noise = torch.rand(6, model.noise_size, generator=torch.Generator().manual_seed(step))
        state = crowded.imagine(state, torch.zeros(6, 2), noise)
        new = (state["agent_class"] > 0) & ~before
        places = points_from(state["agent_pose"][..., :2], state["pose"])
        seen = model.memory.read(state["map"], state["map_origin"], places, seen_only=True)[new]
        aside = (places[:, :, None] - state["route"][:, None, :, :2]).norm(dim=-1).amin(-1)[new]
        # All that was seen is road in these contexts; elsewhere the route is all there is.
        assert ((seen != UNKNOWN) | (aside < ROADWAY)).all()
        born += int(new.sum())
    assert born > 0
