"""States in which the scene is as one is told, to judge the painter by itself; see `protocol.ScenePainter`."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from learned_sim_env.world_model.geometry import relative
from learned_sim_env.world_model.protocol import Observation, State
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from learned_sim_env.world_model.rssm.route.landmarks import find_obstacles


def placed(rssm: DrivingRSSM, state: State, scene: Observation) -> State:
    """The state after a real observation as if `scene` had been seen since then, anchored to the ego's pose in it.

    The keyframe's pose is told in the same frame; its road users stay where they were in it. Scenery that the
    scene does not tell of is what was perceived.
    """
    slots, beside, pose = state["agent_class"].shape[1], state["scenery_kind"].shape[1], scene["pose"]
    cells, origin = rssm.memory.observe(state["map"], state["map_origin"], pose, scene["ground"])
    told = ("scenery_pose", "scenery_size", "scenery_kind")
    if told[0] in scene:
        given = {name: scene[name][:, :beside] for name in told}
        # Slots, of which a scene may fill fewer.
        scenery = {name: F.pad(v, (0, 0) * (v.ndim - 2) + (0, beside - v.shape[1])) for name, v in given.items()}
    else:
        scenery = {"scenery_pose": relative(state["scenery_pose"], pose[:, None])}
    return {
        **state,
        **scenery,
        "pose": torch.zeros_like(pose),
        "map": cells,
        "map_origin": origin,
        "obstacles": find_obstacles(scene["ground"], rssm.memory.points.to(pose.device)),
        "key_pose": relative(state["key_pose"], pose),
        **{name: scene[name][:, :slots] for name in ("agent_pose", "agent_size", "agent_class")},
    }
