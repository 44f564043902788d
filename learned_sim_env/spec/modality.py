"""What an environment can show and a world model can see or draw, one `Modality` each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from learned_sim_env.spec import classes
from learned_sim_env.spec.geometry import CAMERAS, BevSpec, CameraSpec
from learned_sim_env.spec.names import EGO_FIELDS

Kind = Literal["classes", "rgb", "vector"]


@dataclass(frozen=True)
class Modality:
    """One kind of observation, as LeRobot's `PolicyFeature` declares it.

    Args:
        name: its key in observations.
        kind: "classes" (class ids of `SemanticClass`, uint8), "rgb" (uint8) or "vector" (float32).
        shape: of one observation: (H, W), (H, W, 3), or any.
        bev: geometry of a view from above.
        camera: calibration of a camera.
        fields: what the numbers along a vector's last axis are.
        bounds: how large each of them can be; values are clipped to it.
        positive: those of `fields` that are never below 0.

    Raises:
        ValueError: for a shape that its kind, its geometry or its fields contradict.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    bev: BevSpec | None = None
    camera: CameraSpec | None = None
    fields: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    positive: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        geometry = self.bev or self.camera
        size = self.shape[:2] if geometry is None else (geometry.height, geometry.width)
        expected = {"classes": (2, ()), "rgb": (3, (3,)), "vector": (len(self.shape), self.shape[2:])}[self.kind]
        if (len(self.shape), self.shape[2:]) != expected or self.shape[:2] != size:
            raise ValueError(f"modality {self.name!r} of kind {self.kind!r} cannot have the shape {self.shape}")
        if self.kind == "vector" and not len(self.fields) == len(self.bounds) == self.shape[-1]:
            raise ValueError(f"modality {self.name!r} of shape {self.shape} needs {self.shape[-1]} fields and bounds")

    @property
    def dtype(self) -> np.dtype:
        """uint8 or float32."""
        return np.dtype(np.float32 if self.kind == "vector" else np.uint8)

    @property
    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest values, two arrays of its shape and dtype."""
        if self.kind == "vector":
            high = np.broadcast_to(np.array(self.bounds, np.float32), self.shape)
            low = np.where(np.isin(self.fields, self.positive), np.float32(0), -high)
        else:
            high = np.full(self.shape, 255 if self.kind == "rgb" else classes.NUM_CLASSES - 1, np.uint8)
            low = np.zeros_like(high)
        return low, high

    @property
    def space(self) -> gym.spaces.Box:
        """Space of the values themselves: class ids for "classes"."""
        return gym.spaces.Box(*self.limits, dtype=self.dtype.type)

    @property
    def picture_space(self) -> gym.spaces.Box:
        """Space of what is shown: "classes" in the colours of `PALETTE`, (H, W, 3) uint8; others as they are."""
        if self.kind == "classes":
            return gym.spaces.Box(0, 255, (*self.shape, 3), np.uint8)
        return self.space

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready description, including the names and colours that give the numbers their meaning."""
        meaning: dict[str, Any] = {}
        if self.kind == "classes":
            meaning = {"classes": [c.name.lower() for c in classes.SemanticClass], "palette": classes.PALETTE.tolist()}
        # What is not set is left out, so that a new attribute leaves the modalities without it as they were.
        described = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        return {**described, "dtype": self.dtype.name, **meaning}

    def fingerprint(self) -> str:
        """SHA-256 over the description."""
        return digest(self.to_dict())


def digest(description: dict[str, Any]) -> str:
    """SHA-256 over a JSON-ready description."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


# Waypoints of the modality "route".
WAYPOINTS = 10

BEV = Modality("bev", "classes", (BevSpec().height, BevSpec().width), bev=BevSpec())
# [m/s, rad/s, -, -, m, rad]
EGO = Modality(
    "ego",
    "vector",
    (len(EGO_FIELDS),),
    fields=EGO_FIELDS,
    bounds=(60.0, 5.0, 1.0, 1.0, 50.0, float(np.pi)),
    positive=("speed",),
)
# The next points of the route, 4 m apart, in the ego frame [m]; see `road.RoadIndex.waypoints`.
ROUTE = Modality("route", "vector", (WAYPOINTS, 2), fields=("x", "y"), bounds=(100.0, 100.0))
FRONT, LEFT, RIGHT = (
    Modality(name, "rgb", (camera.height, camera.width, 3), camera=camera) for name, camera in CAMERAS.items()
)
