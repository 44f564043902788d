"""Painting a scene that the model is told, for any weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.measures.needs import Needs
from learned_sim_env.spec import CAMERAS, CONTRACTS, NUM_STATIC_CLASSES, SceneryKind, SemanticClass
from learned_sim_env.world_model.protocol import ScenePainter, warmed_up
from learned_sim_env.world_model.rssm.camera.config import SIZES
from learned_sim_env.world_model.rssm.camera.model import CameraWorldModel
from tests import scenes

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.rendering.camera import Appearance, CameraRenderer
from learned_sim_env.road import road_index

pytestmark = pytest.mark.slow

NAMES = tuple(CAMERAS)


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """[levels of 255]"""
    return float(np.mean([(one[name].float() - other[name].float()).abs().mean() for name in NAMES]))


@torch.inference_mode()
def test_what_it_is_told_is_painted_as_what_it_believes() -> None:
    torch.manual_seed(0)
    model = CameraWorldModel(SIZES["camera-tiny"], CONTRACTS["driving-camera"]).eval()
    assert isinstance(model, ScenePainter) and Needs(capabilities=("ScenePainter",)).lacking(model) is None
    renderer, look, moments = CameraRenderer(), Appearance.named("clear", 1), []
    for t in range(5):
        scene = scenes.scene(x=0.8 * t, velocity=(8.0, 0.0))
        ego = np.array([8.0, 0, 0, 0, 0, 0], np.float32)
        route = road_index(scene.road_map).waypoints(scene.ego.pose)
        moments.append({**renderer.render(scene, look), "ego": ego, "route": route})
    seen = {name: torch.from_numpy(np.stack([m[name] for m in moments]))[None] for name in moments[0]}
    state = warmed_up(model, seen, torch.zeros(1, 5, 2))

    def believed(pose: tuple[float, float, float]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """The scene that the model believes in, and the cameras that it draws of it, with the ego at a pose."""
        drawn, there = model.draw(model.at(state, torch.tensor([pose])), ("bev", *NAMES))
        ground = torch.where(drawn["bev"] < NUM_STATIC_CLASSES, drawn["bev"], int(SemanticClass.ROAD))
        agents = {name: there[name] for name in ("agent_pose", "agent_size", "agent_class")}
        return {"pose": there["pose"], "ground": ground, **agents}, drawn

    then, _ = believed((0.0, 0.0, 0.0))
    now, drawn = believed((2.0, 0.1, 0.15))
    told = model.paint(state, then, now, NAMES)
    assert {name: picture.shape for name, picture in told.items()} == dict.fromkeys(NAMES, (1, 64, 96, 3))
    same = apart(told, drawn)
    # Elsewhere, on other ground, and with a car ahead it looks otherwise.
    ground = torch.full_like(now["ground"], int(SemanticClass.OFF_ROAD))
    car = {"agent_pose": now["agent_pose"].clone(), "agent_size": now["agent_size"].clone()}
    car["agent_pose"][:, 0], car["agent_size"][:, 0] = torch.tensor([8.0, 0.0, 0.0]), torch.tensor([4.5, 1.8])
    car["agent_class"] = now["agent_class"].clone()
    car["agent_class"][:, 0] = int(SemanticClass.VEHICLE)
    # Untrained, it makes little of the ground.
    for changed, more in (({"pose": torch.zeros(1, 3)}, 1.0), ({"ground": ground}, 0.01)):
        assert apart(model.paint(state, then, {**now, **changed}, NAMES), drawn) > 1.5 * same + more
    house = {"scenery_pose": torch.tensor([[[14.0, 3.0, 0.2]]]), "scenery_size": torch.tensor([[[9.0, 7.0, 6.0]]])}
    house["scenery_kind"] = torch.tensor([[int(SceneryKind.HOUSE)]], dtype=torch.uint8)
    assert apart(model.paint(state, {**then, **house}, {**now, **house}, NAMES), drawn) > 1.5 * same + 0.05
    # Untrained, it shows little of a car; what was there at the keyframe makes it known, or not.
    new = model.paint(state, then, {**now, **car}, ("front",))
    known = model.paint(state, {**then, **car}, {**now, **car}, ("front",))
    assert list(new) == ["front"] and (new["front"] != told["front"]).any() and (new["front"] != known["front"]).any()
