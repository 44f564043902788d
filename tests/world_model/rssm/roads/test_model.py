"""The world model with pieces of road keeps what holds for any of its kind."""

from __future__ import annotations

import pytest
import torch

from learned_sim_env.spec import CONTRACTS, NUM_STATIC_CLASSES, SemanticClass
from learned_sim_env.training.rssm.roads.assembly import with_roads
from learned_sim_env.world_model.conformance import check_world_model
from learned_sim_env.world_model.geometry import place, points_from, turn, view_points
from learned_sim_env.world_model.protocol import RoadModel
from learned_sim_env.world_model.registry import model_of_size
from learned_sim_env.world_model.rssm.agents import boxes
from learned_sim_env.world_model.rssm.roads import plan
from tests.winding_roads import winding_road
from tests.world_model.rssm.roads.test_grounding import seen

ROADS = [winding_road((60.0, 0.0), (50.0, bend), (90.0, 0.0)) for bend in (0.02, 0.0, -0.02)]


def begun(model, age=plan.BEGIN - 4):
    """A state in which a road was seen, in each row another, as if so many steps ago."""
    views = torch.cat([seen(road_map, 45.0)[0] for road_map in ROADS])
    state = model.initial(len(views))
    ego = torch.zeros(len(views), 6)
    ego[:, 0] = 8.0
    for _ in range(2):
        state = model.observe(state, torch.zeros(len(views), 2), {"bev": views, "ego": ego})
    return {**state, "age": torch.full_like(state["age"], age)}


def driven(model, state, steps, draw=False):
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        noise = torch.rand(3, model.noise_size, generator=generator)[: len(state["pose"])]
        state = model.imagine(state, torch.tensor([[0.0, 0.4]]).expand(len(noise), 2), noise)
        if draw:
            state = model.draw(state, ("bev",))[1]
    return state


def followed(state):
    """The same state with a vehicle behind the ego in every row."""
    pose, classes = state["agent_pose"].clone(), state["agent_class"].clone()
    pose[:, 0], classes[:, 0] = torch.tensor([-12.0, 0.5, 0.1]), int(SemanticClass.VEHICLE)
    return {**state, "agent_pose": pose, "agent_class": classes}


@torch.no_grad()
@pytest.mark.parametrize("born", [False, True])
def test_what_can_still_be_compared_with_the_truth_the_map_decoder_imagines(model, road_model, born):
    model = with_roads(model, None)
    assert model.births.tries > 1
    for one in (model, road_model):
        one.births.likelier.fill_(3.0 if born else -100.0)
    without, pieces = (followed(begun(one, age=0)) for one in (model, road_model))
    for _ in range(plan.BEGIN // 10):
        without, pieces = (driven(*one, 10, draw=True) for one in ((model, without), (road_model, pieces)))
        # New road users may already come from where the piece that fits best has a side road; nothing else differs.
        for name in set(without) - ({*boxes.KEYS, "surroundings"} if born else set()):
            assert torch.equal(without[name], pieces[name]), name
    there = without["agent_class"] > 0
    assert there.sum() > 3 * there.shape[1] / 2 if born else there.sum() == there[:, 0].sum() == 3
    assert (pieces["road_piece"] == -1).all()
    assert (driven(road_model, pieces, 1)["road_piece"][:, -1] >= 0).all()


def test_pieces_are_laid_whether_or_not_anything_is_drawn(road_model):
    blind, drawn = (driven(road_model, begun(road_model), 12, draw) for draw in (False, True))
    for name in (*plan.KEYS, "route", "route_end", "h"):
        assert torch.equal(blind[name], drawn[name]), name
    assert not torch.equal(blind["map"], drawn["map"])


def test_a_state_drawn_again_gives_the_same_view(road_model):
    view, state = road_model.draw(driven(road_model, begun(road_model), 12), ("bev",))
    again, _ = road_model.draw(state, ("bev",))
    assert torch.equal(view["bev"], again["bev"])


@torch.no_grad()
def test_a_row_is_the_same_alone(road_model):
    state = begun(road_model)
    together = driven(road_model, state, 12, draw=True)
    alone = driven(road_model, {name: value[:1] for name, value in state.items()}, 12, draw=True)
    for name in (*plan.KEYS, "route", "map"):
        assert torch.equal(together[name][:1], alone[name]), name


@torch.no_grad()
def test_what_stands_on_a_piece_is_seen_where_one_runs_into_it(model, coned):
    model = with_roads(model, coned).requires_grad_(False)
    model.births.likelier.fill_(-100.0)
    # The decoder of a model that has not learned imagines objects anywhere.
    model.decoder.out.bias.view(-1, NUM_STATIC_CLASSES)[:, SemanticClass.STATIC_OBJECT] = -50.0
    state, seen, hit = begun(model), 0, 0
    metres = view_points(model.contract.bev)
    for _ in range(60):
        state = driven(model, state, 1)
        # On with 8 m/s along the route, which leads through the cones.
        state = model.at(state, alongside_route(state, 0.8))
        drawn, state = model.draw(state, ("bev",))
        row, pixel = (drawn["bev"].flatten(1) == SemanticClass.STATIC_OBJECT).nonzero(as_tuple=True)
        if len(row):
            ground = points_from(metres[pixel][:, None], state["pose"][row])[:, 0]
            away = (state["obstacles"][row] - ground[:, None]).norm(dim=-1).amin(-1)
            assert away.max() < 1.2, "what is seen stands in the way"
            seen += len(row)
        hit += int((state["surroundings"][:, -1] < 0).sum())
    assert seen > 100 and hit > 3


def alongside_route(state, distance):
    """Poses (B, 3) on the route, so far ahead of where the ego is [m]."""
    heading = state["route"][:, 1, 2]
    first = place(state["route"][:, 1])
    along = ((place(state["pose"]) - first) * turn(-heading)).real + distance
    at = first + along * turn(heading)
    return torch.cat([torch.view_as_real(at), heading[:, None]], -1)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "contract"), [("rssm-small", "driving"), ("camera-tiny", "driving-camera")])
def test_it_is_a_world_model_as_others_are(size, contract, library):
    model = model_of_size(size, CONTRACTS[contract], roads=tuple(library.sizes)).eval()
    getattr(model, "rssm", model).roads.load_state_dict(library.state_dict())
    assert isinstance(model, RoadModel) and model.tells_imagined_road
    check_world_model(model, exact=True)


def test_without_a_library_nothing_changes(model):
    assert model.roads is None and not model.tells_imagined_road
    assert not any(name.startswith("road") for name in model.initial(1))
    assert not any(name.startswith("roads") for name in model.state_dict())
