"""Where the ego is beside its route, and the numbers about the ego that condition the dynamics.

Speed, turn and place follow from the exact path of the ego's motion (`EgoPath`), not from pictures. The
place beside the route follows from this motion along a straight route; a head that reads the agent tokens corrects it
for bends and for earlier errors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.world_model.ego_path import MOTION_SCALE, SPEED_SCALE
from learned_sim_env.world_model.geometry import wrap

# Numbers about the ego: the motion (3), the speed, where beside the route and how askew.
EGO_NUMBERS = 7
# [m] Unit of distances from the route.
ASIDE = 5.0


def numbers(ego: Tensor, motion: Tensor) -> Tensor:
    """(..., EGO_NUMBERS) near 1, of ego vectors (..., 6) and the motions (..., 3) that led to them."""
    distance, error = ego[..., 4] / ASIDE, ego[..., 5]
    # Bounded: as far as it goes, the route is far away.
    distance = distance / (1 + distance.abs())
    beside = torch.stack([ego[..., 0] / SPEED_SCALE, distance, error.sin(), error.cos()], -1)
    return torch.cat([motion / motion.new_tensor(MOTION_SCALE), beside], -1)


def moved(beside: Tensor, motion: Tensor) -> Tensor:
    """Distance [m] and heading error [rad] (..., 2) after a motion (..., 3), along a route that is straight.

    beside: (..., 2) before it. Distances are positive left of the route, errors counter-clockwise.
    """
    distance, error = beside.unbind(-1)
    across = motion[..., 0] * error.sin() + motion[..., 1] * error.cos()
    return torch.stack([distance + across, wrap(error + motion[..., 2])], -1)
