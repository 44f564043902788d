"""Scenes as seen by cameras on the ego: one renderer for every simulator, in weather and light drawn from a seed."""

from learned_sim_env.rendering.camera.appearance import CONDITIONS, Appearance
from learned_sim_env.rendering.camera.renderer import CameraClass, CameraRenderer, Images

__all__ = ["CONDITIONS", "Appearance", "CameraClass", "CameraRenderer", "Images"]
