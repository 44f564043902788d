"""The world model of cameras: what holds for any weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import Start
from learned_sim_env.spec import CAMERAS, CONTRACTS, BevSpec, SceneryKind
from learned_sim_env.world_model.checkpoint import from_pretrained, save_pretrained
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.protocol import LatentModel, MapModel, MovableEgo, RoadModel, warmed_up
from learned_sim_env.world_model.rssm.camera.config import SIZES, CameraConfig
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel
from learned_sim_env.world_model.rssm.camera.painting.casting import FAR, FIRST, cast
from learned_sim_env.world_model.rssm.camera.painting.state_things import things_now
from learned_sim_env.world_model.rssm.camera.painting.view import View
from tests import scenes

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.rendering.camera import Appearance, CameraRenderer
from learned_sim_env.road import road_index

# All of it trains or dreams: left out by `make test-fast`.
pytestmark = pytest.mark.slow

CONTRACT, NAMES = CONTRACTS["driving-camera"], tuple(CAMERAS)


@pytest.fixture(scope="module", autouse=True)
def frozen():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def model(frozen) -> CameraWorldModel:
    torch.manual_seed(0)
    config = replace(SIZES["camera-tiny"], keyframe_distance=3.0)
    model = CameraWorldModel(config, CONTRACT).eval()
    for module in (model.rssm.ego_path.dynamics, model.rssm.agent_motion.net):
        torch.nn.init.normal_(module[-1].weight, std=0.3)
    return model


@pytest.fixture(scope="module")
def seen() -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Observations (3, 5, ...) and actions of three drives along a straight road, in other weathers."""
    rows = []
    for row, condition in enumerate(("clear", "night", "rain")):
        renderer, look, moments = CameraRenderer(), Appearance.named(condition, row), []
        for t in range(5):
            scene = scenes.scene(x=0.8 * t + 3 * row, y=0.3 * row, velocity=(8.0, 0.0))
            pictures = renderer.render(scene, look)
            ego = np.array([8.0, 0, 0, 0, -0.3 * row, 0], np.float32)
            route = road_index(scene.road_map).waypoints(scene.ego.pose)
            moments.append({**pictures, "ego": ego, "route": route})
        rows.append({name: np.stack([m[name] for m in moments]) for name in moments[0]})
    observations = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
    return observations, torch.zeros(3, 5, 2)


@pytest.fixture(scope="module")
def start(model, seen):
    return warmed_up(model, *seen)


def drive(model, state, steps, names=()):
    """A noisy drive on, with what is named drawn after each step; every row with noise of its own."""
    drawn = {}
    for t in range(steps):
        noise = torch.rand(3, model.noise_size, generator=torch.Generator().manual_seed(t))[: len(state["h"])]
        state = model.imagine(state, torch.tensor([[0.05, 0.6]]).expand(len(noise), 2), noise)
        if names:
            drawn, state = model.draw(state, names)
    return drawn, state


def rows_of(state, rows):
    return {name: value[rows] for name, value in state.items()}


def test_it_does_what_models_do(model, start):
    assert model.observes == (*NAMES, "ego", "route") and model.draws == (*NAMES, "bev", "route")
    assert isinstance(model, LatentModel) and isinstance(model, MovableEgo) and isinstance(model, MapModel)
    assert isinstance(model, RoadModel) and not model.tells_imagined_road
    initial = model.initial(3)
    for state in (start, drive(model, start, 2, NAMES)[1], model.at(start, torch.ones(3, 3))):
        assert {k: (v.shape, v.dtype) for k, v in state.items()} == {k: (v.shape, v.dtype) for k, v in initial.items()}
    assert model.features(start).shape == (3, model.latent_size)
    assert model.decode(start)["ego"].shape == (3, 6)


def test_what_was_seen_last_is_drawn_as_it_was(model, start, seen):
    drawn, _ = model.draw(start, NAMES)
    assert all(torch.equal(drawn[name], seen[0][name][:, -1]) for name in NAMES)


def test_modalities_are_drawn_as_the_contract_declares_them(model, start):
    drawn, _ = drive(model, start, 1, model.draws)
    assert set(drawn) == set(model.draws)
    for name, value in drawn.items():
        modality = CONTRACT.modality(name)
        assert value.shape == (3, *modality.shape) and value.numpy().dtype == modality.dtype


def test_only_what_is_asked_for_is_drawn(model, start):
    later = drive(model, start, 1)[1]
    assert set(model.draw(later, ("left",))[0]) == {"left"}
    drawn, after = model.draw(later, ("route",))
    assert set(drawn) == {"route"} and all(torch.equal(after[k], later[k]) for k in later)


def test_a_state_drawn_again_shows_the_same(model, start):
    state = drive(model, start, 3)[1]
    for _ in range(2):
        drawn, after = model.draw(state, NAMES)
        again, _ = model.draw(after, NAMES)
        alone, _ = model.draw(state, ("right",))
        assert all(torch.equal(drawn[name], again[name]) for name in NAMES)
        assert torch.equal(alone["right"], drawn["right"])
        # The second time far enough for what is drawn to be remembered.
        state = drive(model, state, 25)[1]
    assert model.draw(state, NAMES)[1]["key_generation"].min() > 0


def test_rows_do_not_depend_on_each_other(model, start, seen):
    alone = warmed_up(model, {name: value[1:2] for name, value in seen[0].items()}, seen[1][1:2])
    assert all(torch.equal(alone[name], start[name][1:2]) for name in start)
    together, later = drive(model, rows_of(start, [0, 1, 2]), 6, NAMES)
    turned, _ = drive(model, rows_of(start, [2, 1, 0]), 6, NAMES)
    # The middle row has the same noise in both.
    assert all(torch.equal(together[name][1], turned[name][1]) for name in NAMES)
    both, _ = model.draw(drive(model, later, 1)[1], NAMES)
    single, _ = model.draw(rows_of(drive(model, later, 1)[1], [2]), NAMES)
    assert all(torch.equal(both[name][2:], single[name]) for name in NAMES)


def test_rows_show_the_same_on_several_threads(model, start):
    """What pictures are painted from is imagined before, for all rows together."""
    state = drive(model, start, 6, NAMES)[1]
    threads, drawn = torch.get_num_threads(), model.draw(state, NAMES)[0]
    torch.set_num_threads(2)
    try:
        again, _ = model.draw(state, NAMES)
    finally:
        torch.set_num_threads(threads)
    assert not state["key_now"].any() and all(torch.equal(again[name], drawn[name]) for name in NAMES)


def test_rows_painted_together_show_the_same(model, start, monkeypatch):
    """As on a GPU: some have come far enough for a keyframe, one has not moved since."""
    state = drive(model, start, 3)[1]
    state = {name: torch.cat([value, start[name][:1]]) for name, value in state.items()}
    state["pose"][1] += torch.tensor([5.0, 0.3, 0.1])
    alone, after = model.draw(state, NAMES)
    monkeypatch.setattr("learned_sim_env.world_model.rssm.camera.model._size", len)
    together, later = model.draw(state, NAMES)
    assert after["key_generation"].tolist() == later["key_generation"].tolist() == [0, 1, 0, 0]
    for name in NAMES:
        assert (alone[name].float() - together[name].float()).abs().max() <= 2
        assert torch.equal(together[name][3], state["key_pictures"][3, NAMES.index(name), ..., :3])
    assert torch.equal(after["key_now"], later["key_now"]) and torch.equal(after["key_pose"], later["key_pose"])


def test_pictures_do_not_depend_on_which_others_are_drawn(model, start):
    """Over keyframes as well, of which all cameras are part."""
    state = dict.fromkeys((NAMES, ("front",), ("left", "front"), ("right",)), start)
    for t in range(25):
        shown = {}
        for names, before in state.items():
            noise = torch.rand(3, model.noise_size, generator=torch.Generator().manual_seed(t))
            shown[names], state[names] = model.draw(model.imagine(before, torch.full((3, 2), 0.3), noise), names)
        assert all(torch.equal(d[name], shown[NAMES][name]) for d in shown.values() for name in d)
    assert state[NAMES]["key_generation"].min() > 1
    assert all(torch.equal(after[name], state[NAMES][name]) for after in state.values() for name in after)


def test_only_the_cameras_asked_for_are_painted(model, start, monkeypatch):
    painted, forward = [], View.forward

    def noted(view, *given):
        painted.extend(view.numbers)
        return forward(view, *given)

    monkeypatch.setattr(View, "forward", noted)
    monkeypatch.setattr(
        "learned_sim_env.world_model.rssm.camera.painting.pictures.played", lambda view, name, _: getattr(view, name)
    )
    state = model.imagine(rows_of(start, [0]), torch.zeros(1, 2), None)
    drawn, after = model.draw(state, ("right", "bev"))
    assert painted == [2] and torch.equal(after["key_pictures"], start["key_pictures"][:1])
    again, _ = model.draw(after, ("front", "right"))
    assert painted == [2, 0, 2] and torch.equal(again["right"], drawn["right"])
    # A keyframe is made of all, and shown from then on.
    del painted[:]
    far = model.at(state, torch.tensor([[model.config.keyframe_distance, 0.0, 0.0]]))
    drawn, after = model.draw(far, ("left",))
    assert sorted(painted) == [0, 1, 2] and after["key_generation"] == 1
    again, _ = model.draw(after, NAMES)
    assert len(painted) == 3 and torch.equal(again["left"], drawn["left"])


def test_drawing_does_not_change_what_comes(model, start):
    _, undrawn = drive(model, start, 8)
    _, drawn = drive(model, start, 8, NAMES)
    assert torch.equal(model.features(undrawn), model.features(drawn))
    assert all(torch.equal(v, model.decode(drawn)[k]) for k, v in model.decode(undrawn).items())


def test_pictures_are_remembered_anew_after_the_distance_of_a_keyframe(model, start):
    state, poses = start, []
    for _ in range(30):
        _, state = drive(model, state, 1, NAMES)
        poses.append((state["pose"], state["key_pose"], state["key_generation"]))
    for pose, key, generation in poses:
        away = (pose - key)[:, :2].norm(dim=-1)
        assert (away < model.config.keyframe_distance).all()
        assert torch.equal(key.any(-1), generation > 0)
    assert poses[-1][2].max() > 0


def test_what_no_camera_shows_counts_as_imagined(model, start):
    places = model.seen_places(start)
    bev = BevSpec()
    behind = bev.pixel_centres()[..., 0] < -10
    ahead = (bev.pixel_centres()[..., 0] > 5) & (abs(bev.pixel_centres()[..., 1]) < 5)
    assert not places[:, behind].any()
    view = model.draw(start, ("bev",))[0]["bev"]
    # Whatever it may be, something is drawn there.
    assert (view[:, behind] <= 8).all()
    unseen = ~places & (view <= 5)
    assert unseen.any() and places[:, ahead & ~model.perception.ego.numpy()].float().mean() > 0.5


def test_a_copy_in_bfloat16_shows_nearly_the_same(model, start):
    state = drive(model, start, 4)[1]
    small = model.in_bfloat16()
    assert small.painter.inward.weight.dtype == torch.bfloat16 and model.painter.inward.weight.dtype == torch.float32
    assert small.rig.rays.dtype == torch.float32
    exact, _ = model.draw(state, NAMES)
    near, _ = small.draw(state, NAMES)
    for name in NAMES:
        assert (exact[name].float() - near[name].float()).abs().mean() < 4


def beside(model, start, kind=SceneryKind.HOUSE, x=18.0, y=8.0):
    """The start with one thing beside the road, as if it had been found."""
    state = {**start, "scenery_kind": torch.zeros_like(start["scenery_kind"])}
    for name, value in (("pose", [x, y, 0.2]), ("size", [10.0, 8.0, 6.0]), ("kind", int(kind))):
        state[f"scenery_{name}"] = state[f"scenery_{name}"].clone()
        state[f"scenery_{name}"][:, 3] = torch.tensor(value)
    return state


def test_scenery_is_painted_where_it_stands(model, start):
    state = beside(model, model.at(start, torch.tensor([[1.0, 0.0, 0.0]] * 3)))
    state["scenery_due"] = torch.zeros_like(state["scenery_due"])
    bare = {**state, "scenery_kind": torch.zeros_like(state["scenery_kind"])}
    shown, empty = (torch.stack([model.draw(s, NAMES)[0][n] for n in NAMES], 1).float() for s in (state, bare))
    away = (shown - empty).abs().mean(-1)[0]
    hits = cast(model.rig, things_now(rows_of(state, [0]), model.rig.eye), model.pictures.agents)
    met = (hits.depth[0, FIRST] < FAR).view(away.shape)
    assert met.sum() > 200 and away[met].mean() > 5 * away[~met].mean()


def test_colours_are_read_from_pictures_and_kept(model, start, seen):
    """Of what the last real pictures show, and, of what they do not, as it is painted."""
    state = beside(model, start)
    kept = [model.pictures.kept(rows_of(state, [row]), torch.stack([seen[0][n][row : row + 1, -1] for n in NAMES], 1))
            for row in range(3)]  # fmt: skip
    colours = torch.cat([part["scenery_colour"] for part in kept])
    known = colours[..., 3] > 0
    assert known[:, 3].all() and known.sum() == 3
    # Three weathers: night is darker than day.
    assert colours[1, 3, :3].mean() < 0.7 * colours[0, 3, :3].mean()
    state.update({name: torch.cat([part[name] for part in kept]) for name in kept[0]})
    state["agent_colour"] = torch.ones_like(state["agent_colour"])
    later = model.imagine(state, torch.zeros(3, 2), None)
    assert torch.equal(later["scenery_colour"], state["scenery_colour"])
    same = (later["agent_class"] > 0) & (later["agent_size"] == state["agent_size"]).all(-1)
    assert torch.equal(later["agent_colour"][..., 0] > 0, same)


def test_scenery_comes_into_reach_once_for_each_step(model, start):
    state = model.at(start, torch.tensor([[25.0, 0.0, 0.0]] * 3))
    state["scenery_chance"] = torch.rand_like(state["scenery_chance"])
    assert state["scenery_due"].all() and not start["scenery_due"].any()
    _, after = model.draw(state, ("front",))
    assert not after["scenery_due"].any() and not torch.equal(after["scenery_decided"], state["scenery_decided"])
    _, again = model.draw(after, ("front",))
    assert all(torch.equal(again[name], after[name]) for name in after if name.startswith("scenery"))
    _, unseen = model.draw(state, ("route",))
    assert torch.equal(unseen["scenery_decided"], state["scenery_decided"])


def test_cameras_that_are_none_are_refused():
    with pytest.raises(ValueError, match="no cameras"):
        CameraWorldModel(CameraConfig(cameras=("front", "bev")), CONTRACT)


def test_it_is_kept_in_a_checkpoint(model, seen, tmp_path):
    observations, actions = ({k: v.numpy() for k, v in seen[0].items()}, seen[1].numpy())
    tags, replay = np.zeros((3, 7), bool), np.zeros((3, 2), np.float32)
    contexts = Contexts(observations, actions, tags, np.arange(3), replay, np.arange(4))
    folder = save_pretrained(tmp_path / "small", model, contexts, 3.0, {"steps": 0})
    config = json.loads((folder / "config.json").read_text())
    assert config["architecture"] == "camera" and config["observes"] == [*NAMES, "ego", "route"]
    loaded = from_pretrained(folder)
    assert loaded.model.config == model.config and loaded.contract == CONTRACT
    state = warmed_up(loaded.model, *seen)
    drawn, _ = drive(loaded.model, state, 2, NAMES)
    # Files keep some weights rounded.
    rounded = CameraWorldModel(model.config, CONTRACT).eval()
    rounded.load_state_dict(model.stored_weights())
    again, _ = drive(rounded, warmed_up(rounded, *seen), 2, NAMES)
    assert all(torch.equal(drawn[name], again[name]) for name in NAMES)


def test_environments_can_step_it(model, start, seen):
    inference, rows = Inference(torch.device("cpu")), np.arange(2)
    rollout, alone = (Rollout(model, count, inference) for count in (2, 1))
    first = Start(start, start["ego"].numpy()).row(0)
    rollout.start(rows, first, np.array([3, 4]))
    frames = [rollout.drawn("front", rows)]
    assert all(np.array_equal(frame, seen[0]["front"][0, -1]) for frame in frames[0])
    for _ in range(6):
        assert rollout.step(np.full((2, 2), 0.5, np.float32)).finite.all()
        frames.append(rollout.drawn("front", rows))
    # A row that goes on alone, from a snapshot, shows the same.
    kept = rollout.snapshot(1)
    again = Start.from_snapshot(model, inference, kept, kept["state"]["ego"])
    alone.start(rows[:1], again, kept["seed"], kept["step"])
    for which in (rollout, alone):
        which.step(np.full((len(which), 2), 0.2, np.float32))
    assert np.array_equal(alone.drawn("left", rows[:1])[0], rollout.drawn("left", rows)[1])


def test_squares_of_pixels_are_painted_alike_before_anything_is_learned(seen):
    torch.manual_seed(0)
    model = CameraWorldModel(SIZES["camera-tiny"], CONTRACT).eval()
    weight = model.painter.outward.weight.unflatten(0, (-1, 4))
    assert torch.equal(weight[:, :1].expand_as(weight), weight) and weight[:, 0].std() > 0
