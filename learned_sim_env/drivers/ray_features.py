"""The features of a small driving network (obs_type "flat"): rays now and a moment ago, and the ego's motion."""

from __future__ import annotations

from collections.abc import Mapping

import gymnasium as gym
import numpy as np

from learned_sim_env.rendering.rays import ANGLES, TARGETS, distances
from learned_sim_env.spec import CONTRACTS, EGO_FIELDS, FLAT_SIZE

BEV = CONTRACTS["driving"].bev
# Steps between the present obstacle distances and the earlier ones beside them, which together tell how obstacles move.
LAG = 4
# Brings `spec.EGO_FIELDS` to about [-1, 1].
EGO_SCALE = np.array([1 / 15, 1.0, 1.0, 1.0, 0.2, 1.0], np.float32)
_OBSTACLE = list(TARGETS).index("obstacle")
SIZE = (len(TARGETS) + 1) * len(ANGLES) + len(EGO_FIELDS)
assert SIZE == FLAT_SIZE


def flat_space(observations: gym.Space) -> gym.spaces.Box:
    """The space of obs_type "flat", if observations of that space can be turned into features.

    Raises:
        ValueError: if they are not of obs_type "dict" or "classes".
    """
    if observations not in [CONTRACTS["driving"].observation_space(obs_type) for obs_type in ("dict", "classes")]:
        raise ValueError(
            'ray features need observations of obs_type "dict" or "classes", with a view and "ego"; '
            f"these are {observations}"
        )
    return CONTRACTS["driving"].observation_space("flat")  # type: ignore[return-value]


class RayFeatures:
    """Turns observations of B rows into features, remembering the last `LAG` + 1 of them.

    The features of a row are a function of its last `LAG` + 1 observations; where an episode is younger than that, of
    its first one. Observations have "ego" (B, 6) float32 and either "bev" (B, H, W, 3) uint8 or "semantic" (B, H, W)
    uint8.

    Attributes:
        past: (LAG + 1, B, len(ANGLES)) float32, how far obstacles were, the oldest first and the present last.
    """

    def __init__(self, num_rows: int):
        self.past = np.zeros((LAG + 1, num_rows, len(ANGLES)), np.float32)

    def update(self, observations: Mapping[str, np.ndarray], began: np.ndarray) -> np.ndarray:
        """(B, SIZE) float32 of the present observations, which are remembered.

        Args:
            observations: of all rows.
            began: (B,) bool, rows whose episode begins with this observation.
        """
        rays = _rays(observations)
        self.past = np.concatenate([self.past[1:], rays[None, :, _OBSTACLE]])
        self.past[:, began] = rays[began, _OBSTACLE]
        return _joined(rays, self.past[0], observations["ego"])

    def begin(self, observations: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
        """(n, SIZE) float32 of observations with which episodes begin in `rows` (n,) int64; others are left alone."""
        rays = _rays(observations)
        self.past[:, rows] = rays[:, _OBSTACLE]
        return _joined(rays, rays[:, _OBSTACLE], observations["ego"])

    def peek(self, observations: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
        """(n, SIZE) float32 of observations that continue `rows` (n,) int64, without remembering them."""
        return _joined(_rays(observations), self.past[1, rows], observations["ego"])

    def restore(self, observations: Mapping[str, np.ndarray], rows: np.ndarray, past: np.ndarray) -> np.ndarray:
        """(n, SIZE) float32 of observations of `rows` (n,) int64, whose `past` (LAG + 1, len(ANGLES)) it was then."""
        self.past[:, rows] = past[:, None]
        return _joined(_rays(observations), self.past[0, rows], observations["ego"])


def features(observation: Mapping[str, np.ndarray], earlier: Mapping[str, np.ndarray]) -> np.ndarray:
    """(SIZE,) float32 of one observation and the one `LAG` steps before it (or its episode's first)."""
    rays = _rays({name: np.stack([observation[name], earlier[name]]) for name in observation})
    return _joined(rays[:1], rays[1:, _OBSTACLE], observation["ego"][None])[0]


def episode_features(observations: Mapping[str, np.ndarray]) -> np.ndarray:
    """(T, SIZE) float32 of the T successive observations of an episode, from its first one on."""
    rays = _rays(observations)
    earlier = np.maximum(np.arange(len(rays)) - LAG, 0)
    return _joined(rays, rays[earlier, _OBSTACLE], observations["ego"])


def ego_of(features: np.ndarray) -> np.ndarray:
    """(..., 6) float32 ego vectors, see `spec.EGO_FIELDS`, that features (..., SIZE) tell of."""
    return features[..., -len(EGO_FIELDS) :] / EGO_SCALE


def _rays(observations: Mapping[str, np.ndarray]) -> np.ndarray:
    return distances(observations["bev" if "bev" in observations else "semantic"], BEV)


def _joined(rays: np.ndarray, past: np.ndarray, ego: np.ndarray) -> np.ndarray:
    # Near things matter most, so closeness is what is told.
    return np.concatenate([1.0 - rays.reshape(len(rays), -1), 1.0 - past, ego * EGO_SCALE], 1).astype(np.float32)
