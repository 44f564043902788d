"""Camera frames that one can predict without a model: the last one moved with the ego."""

from __future__ import annotations

import numpy as np
import torch

from learned_sim_env.spec import CameraSpec
from learned_sim_env.world_model.ground_plane import GroundPlane


def warped_over_ground(frames: np.ndarray, pose: np.ndarray, camera: CameraSpec) -> np.ndarray:
    """Frames as seen from other poses of the ego, as if everything stood still and lay on the ground plane.

    Args:
        frames: (B, H, W, 3) uint8.
        pose: (B, T, 3) x, y, heading [m, m, rad], in the frame of the ego when it saw them.
        camera: that saw them, and sees them now.

    Returns:
        (B, T, H, W, 3) uint8, see `GroundPlane.moved`.
    """
    again = torch.from_numpy(frames)[:, None].repeat_interleave(pose.shape[1], 0)
    moved = GroundPlane([camera]).moved(again, torch.from_numpy(pose).flatten(0, 1))
    return moved.view(*pose.shape[:2], *frames.shape[1:]).numpy()
