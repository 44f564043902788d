"""A street that tests of cameras look at: agents on it, what stands beside it, and both as the painter casts them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from learned_sim_env.scene import to_frame
from learned_sim_env.spec import CAMERAS, SceneryKind, SemanticClass
from learned_sim_env.world_model.rssm.camera.painting.rig import Rig
from learned_sim_env.world_model.rssm.camera.painting.things import Things, agents_as_things, joined, scenery_as_things
from tests import scenes

pytest.importorskip("cv2", reason="drawing needs OpenCV, which the simulators' extras bring")

from learned_sim_env.rendering.camera import Appearance

RIG = Rig(list(CAMERAS.values()))
DAY = Appearance.named("overcast", 1)
CROWD = scenes.agents(
    (SemanticClass.VEHICLE, 14.0, 3.5, 0.1, 4.6, 1.9),
    (SemanticClass.VEHICLE, 20.0, 7.0, 3.1, 9.0, 2.5),
    (SemanticClass.VEHICLE, 5.0, -6.0, 1.3, 4.4, 1.8),
    (SemanticClass.PEDESTRIAN, 6.0, -4.0, 1.0, 0.6, 0.6),
    (SemanticClass.STATIC_OBJECT, 8.0, -1.0, 0.4, 0.4, 0.4),
)


def boxes(others, pose=(0.0, 0.0, 0.0)):
    """Agents as (1, K, ...) tensors in the ego frame of a pose."""
    pose = np.array(pose)
    seen = np.concatenate([to_frame(others.poses[:, :2], pose), others.poses[:, 2:] - pose[2]], -1)
    return tuple(torch.from_numpy(np.asarray(v, t))[None] for v, t in (
        (seen, np.float32), (others.sizes, np.float32), (others.classes, np.uint8)
    ))  # fmt: skip


def pictures(values: dict[str, np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack([values[name] for name in CAMERAS]))[None]


def as_things(others, beside, pose=(0.0, 0.0, 0.0)) -> Things:
    """Agents, and scenery (S, 7) x, y, heading, size, kind, as things in the ego frame of a pose."""
    seen, size, classes = boxes(others, pose)
    agents = agents_as_things(seen, size, classes, torch.zeros(*classes.shape, 4))
    rows = np.asarray(beside, np.float64).reshape(-1, 7)
    places = np.concatenate([to_frame(rows[:, :2], np.array(pose)), rows[:, 2:3] - pose[2]], -1)
    parts = (torch.from_numpy(v.astype(np.float32))[None] for v in (places, rows[:, 3:6]))
    kinds = torch.from_numpy(rows[:, 6].astype(np.uint8))[None]
    return joined(agents, scenery_as_things(*parts, kinds, torch.zeros(*kinds.shape, 4), RIG.eye))


NOBODY = scenes.agents()
STREET = (
    (14.0, 6.0, 0.3, 6.0, 6.0, 8.0, SceneryKind.TREE),
    (22.0, 16.0, 0.3, 4.0, 4.0, 9.0, SceneryKind.CONIFER),
    (20.0, -14.0, 0.4, 12.0, 9.0, 7.0, SceneryKind.HOUSE),
    (3.0, -9.0, 2.0, 0.18, 0.18, 7.5, SceneryKind.LAMP),
    (9.0, -5.0, 2.0, 0.12, 0.12, 1.0, SceneryKind.POST),
)
