"""The cameras of a twin: drawn from its scenes in some appearance, or the simulator's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from learned_sim_env.scene import PICTURES, Scene
from learned_sim_env.spec import Contract, unknown

if TYPE_CHECKING:
    from learned_sim_env.rendering.camera import Appearance

SOURCES = ("drawn", "sensor")


class Cameras:
    """What the contract's cameras show of a twin's scenes.

    Args:
        contract: that has the cameras.
        source: "drawn" by `rendering.camera`, the same for every simulator; or "sensor", the simulator's own.
        appearance: a condition such as "night", a seed, or an `Appearance`, of every episode; None: drawn from the
            scenario's seed.

    Raises:
        ValueError: for an unknown source or condition, or an appearance of a simulator's own cameras.
        TypeError: for an appearance of another type.
    """

    def __init__(self, contract: Contract, source: str, appearance: Any = None):
        if source not in SOURCES:
            raise unknown("camera_source", source, SOURCES)
        self._specs = {m.name: m.camera for m in contract.cameras if m.camera is not None}
        self.source, self._asked = source, appearance
        self._renderer: Any = None
        self._pictures: dict[str, np.ndarray] | None = None
        self.appearance: Appearance | None = None
        if appearance is not None:
            self.begin(0)

    def begin(self, seed: int, appearance: Any = None) -> None:
        """Begin an episode of scenario `seed`; `appearance` holds for it alone."""
        asked = self._asked if appearance is None else appearance
        if self.source == "sensor":
            if asked is not None:
                raise ValueError(
                    f"appearance {asked!r}: the simulator's own cameras show its weather; set that instead"
                )
            return
        if not self._specs:
            if asked is not None:
                raise ValueError(f"appearance {asked!r}: this environment has no cameras; take one that has, by its id")
            return
        self.dress(asked, seed)

    def dress(self, appearance: Any, seed: int) -> None:
        """Use another appearance from now on; see the class for what can be given."""
        from learned_sim_env.rendering.camera import Appearance

        self.appearance = Appearance.of(appearance, seed)
        self._pictures = None

    def look(self) -> None:
        """Discard the pictures, because the scene has changed."""
        self._pictures = None

    def picture(self, name: str, scene: Scene) -> np.ndarray:
        """(H, W, 3) uint8 RGB of a camera; all are drawn when the first is asked for."""
        if self._pictures is None:
            self._pictures = dict(scene.extras[PICTURES]) if self.source == "sensor" else self._drawn(scene)
        return self._pictures[name]

    def info(self) -> dict[str, Any]:
        """What is added to `info`: "appearance", its condition and seed, if there is one."""
        if self.appearance is None:
            return {}
        return {"appearance": {"condition": self.appearance.condition, "seed": self.appearance.seed}}

    def settings(self) -> dict[str, Any]:
        """Keyword arguments for the simulator."""
        return {PICTURES: self._specs} if self.source == "sensor" and self._specs else {}

    def _drawn(self, scene: Scene) -> dict[str, np.ndarray]:
        from learned_sim_env.rendering.camera import CameraRenderer

        if self._renderer is None:
            self._renderer = CameraRenderer(self._specs)
        assert self.appearance is not None
        return self._renderer.render(scene, self.appearance)
