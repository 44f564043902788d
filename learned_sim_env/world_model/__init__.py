"""World models: the protocol they keep, the architectures there are, and how they ship."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.optional import lazy_names

if TYPE_CHECKING:
    from learned_sim_env.world_model.checkpoint import Checkpoint, from_pretrained, save_pretrained
    from learned_sim_env.world_model.conformance import check_world_model
    from learned_sim_env.world_model.contexts import Contexts
    from learned_sim_env.world_model.protocol import (
        CompactState,
        FrameCoder,
        LatentModel,
        MapModel,
        MovableEgo,
        Observation,
        RoadModel,
        ScenePainter,
        State,
        WorldModel,
    )
    from learned_sim_env.world_model.registry import ARCHITECTURES, MODELS

__all__ = [
    "ARCHITECTURES",
    "Checkpoint",
    "CompactState",
    "Contexts",
    "FrameCoder",
    "LatentModel",
    "MODELS",
    "MapModel",
    "MovableEgo",
    "Observation",
    "RoadModel",
    "ScenePainter",
    "State",
    "WorldModel",
    "check_world_model",
    "from_pretrained",
    "save_pretrained",
]

# They load torch.
__getattr__ = lazy_names(
    __name__,
    {
        "ARCHITECTURES": "learned_sim_env.world_model.registry",
        "Checkpoint": "learned_sim_env.world_model.checkpoint",
        "CompactState": "learned_sim_env.world_model.protocol",
        "Contexts": "learned_sim_env.world_model.contexts",
        "FrameCoder": "learned_sim_env.world_model.protocol",
        "LatentModel": "learned_sim_env.world_model.protocol",
        "MODELS": "learned_sim_env.world_model.registry",
        "MapModel": "learned_sim_env.world_model.protocol",
        "MovableEgo": "learned_sim_env.world_model.protocol",
        "Observation": "learned_sim_env.world_model.protocol",
        "RoadModel": "learned_sim_env.world_model.protocol",
        "ScenePainter": "learned_sim_env.world_model.protocol",
        "State": "learned_sim_env.world_model.protocol",
        "WorldModel": "learned_sim_env.world_model.protocol",
        "check_world_model": "learned_sim_env.world_model.conformance",
        "from_pretrained": "learned_sim_env.world_model.checkpoint",
        "save_pretrained": "learned_sim_env.world_model.checkpoint",
    },
)
