"""How the world looks: light, weather and colours, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learned_sim_env.spec import unknown

Colour = tuple[float, float, float]  # RGB, linear enough for shading, 0 to 1.

CONDITIONS = ("clear", "overcast", "dusk", "night", "fog", "rain")
# How often a seed draws each of them.
_SHARES = (0.4, 0.18, 0.12, 0.1, 0.1, 0.1)
# What cars are painted with, most often first: white, black, greys, silver, blues, reds, and the rest.
CAR_COLOURS = np.array(
    [
        (0.86, 0.86, 0.85),
        (0.10, 0.10, 0.11),
        (0.36, 0.37, 0.39),
        (0.60, 0.62, 0.64),
        (0.12, 0.22, 0.46),
        (0.66, 0.10, 0.10),
        (0.20, 0.42, 0.62),
        (0.14, 0.34, 0.22),
        (0.78, 0.58, 0.14),
        (0.42, 0.26, 0.16),
    ],
    np.float32,
)


@dataclass(frozen=True)
class Appearance:
    """Everything about a picture that the scene does not say.

    condition: one of `CONDITIONS`, the name of all this. seed: decides colours of vehicles and houses.
    sun_azimuth: world frame [rad]. sun_elevation: above the horizon [rad]. sun, ambient: light of sun and sky.
    horizon, zenith: colours of the sky. clouds: cover from 0 to 1. visibility: [m] after which 1/e of a colour is left.
    wetness: of the road, 0 to 1. rain: streaks in the picture, 0 to 1. lamps: whether lamps and headlights are lit.
    asphalt, ground, paint: colours of the road, of what is beside it, and of solid markings.
    """

    condition: str
    seed: int
    sun_azimuth: float
    sun_elevation: float
    sun: Colour
    ambient: Colour
    horizon: Colour
    zenith: Colour
    clouds: float
    visibility: float
    wetness: float
    rain: float
    lamps: bool
    asphalt: Colour
    ground: Colour
    paint: Colour

    @staticmethod
    def draw(seed: int) -> Appearance:
        """The appearance of `seed`: condition, light and colours."""
        return _drawn(None, seed)

    @staticmethod
    def named(condition: str, seed: int = 0) -> Appearance:
        """An appearance of a condition; `ValueError` for one that is not in `CONDITIONS`."""
        if condition not in CONDITIONS:
            raise unknown("appearance", condition, CONDITIONS)
        return _drawn(condition, seed)

    @staticmethod
    def of(given: Appearance | str | int | None, seed: int) -> Appearance:
        """An appearance as users give it: itself, a condition, a seed, or None for the one of `seed`.

        Raises:
            ValueError: for an unknown condition.
            TypeError: for something else.
        """
        if given is None:
            return Appearance.draw(seed)
        if isinstance(given, Appearance):
            return given
        if isinstance(given, str):
            return Appearance.named(given, seed)
        if isinstance(given, int | np.integer) and not isinstance(given, bool):
            return Appearance.draw(int(given))
        raise TypeError(
            f"appearance {given!r} is neither a condition ({', '.join(CONDITIONS)}), a seed nor an Appearance"
        )

    @property
    def sun_direction(self) -> np.ndarray:
        """(3,) float64 unit vector towards the sun, world frame."""
        c = np.cos(self.sun_elevation)
        return np.array([c * np.cos(self.sun_azimuth), c * np.sin(self.sun_azimuth), np.sin(self.sun_elevation)])


def _drawn(condition: str | None, seed: int) -> Appearance:
    rng = np.random.default_rng([seed, 0xCA3E7A])
    drawn = str(rng.choice(CONDITIONS, p=_SHARES))
    asphalt = np.array((0.30, 0.30, 0.315)) * rng.uniform(0.75, 1.3) + rng.normal(0, 0.006, 3)
    meadow, dry, earth = np.array((0.22, 0.36, 0.15)), np.array((0.44, 0.41, 0.24)), np.array((0.40, 0.31, 0.23))
    ground = (meadow + (dry if rng.random() < 0.6 else earth) * (k := rng.beta(0.7, 1.2))) / (1 + k)
    day = Appearance(
        condition="clear",
        seed=seed,
        sun_azimuth=float(rng.uniform(-np.pi, np.pi)),
        sun_elevation=float(np.radians(rng.uniform(22, 65))),
        sun=(0.86, 0.80, 0.70),
        ambient=(0.46, 0.50, 0.57),
        horizon=(0.76, 0.84, 0.92),
        zenith=(0.26, 0.48, 0.80),
        clouds=float(rng.uniform(0.0, 0.6)),
        visibility=float(rng.uniform(500, 1500)),
        wetness=0.0,
        rain=0.0,
        lamps=False,
        asphalt=_colour(asphalt),
        ground=_colour(ground * rng.uniform(0.85, 1.15)),
        paint=(0.92, 0.92, 0.90) if rng.random() < 0.6 else (0.92, 0.74, 0.20),
    )
    grey = float(rng.uniform(0.62, 0.8))
    low, far, wet = float(np.radians(rng.uniform(5, 12))), float(rng.uniform(0, 1)), float(rng.uniform(0.6, 1.0))
    condition = condition or drawn
    return replace(day, condition=condition, **_changes(grey, low, far, wet)[condition])


def _changes(grey: float, low: float, far: float, wet: float) -> dict[str, dict[str, Any]]:
    """What each condition changes of a clear day.

    grey: of clouds and fog, from 0 to 1. low: elevation of the sun at dusk [rad]. far: from 0 to 1, how far one sees
    among what the condition allows. wet: of rain, from 0 to 1.
    """
    return {
        "clear": {},
        "overcast": {
            "sun": (0.0, 0.0, 0.0),
            "ambient": (1.05 * grey, 1.06 * grey, 1.10 * grey),
            "horizon": (grey, grey, grey * 1.02),
            "zenith": (grey * 0.84, grey * 0.86, grey * 0.9),
            "clouds": 0.9,
            "visibility": 250 + 450 * far,
        },
        "dusk": {
            "sun_elevation": low,
            "sun": (0.95, 0.55, 0.28),
            "ambient": (0.30, 0.30, 0.40),
            "horizon": (0.95, 0.62, 0.40),
            "zenith": (0.24, 0.28, 0.50),
            "visibility": 300 + 500 * far,
            "lamps": True,
        },
        "night": {
            "sun": (0.0, 0.0, 0.0),
            "ambient": (0.15, 0.155, 0.20),
            "horizon": (0.14, 0.14, 0.19),
            "zenith": (0.03, 0.04, 0.09),
            "visibility": 300 + 300 * far,
            "lamps": True,
        },
        "fog": {
            "sun": (0.0, 0.0, 0.0),
            "ambient": (grey, grey, grey * 1.03),
            "horizon": (grey, grey * 1.01, grey * 1.03),
            "zenith": (grey, grey * 1.01, grey * 1.03),
            "clouds": 0.0,
            "visibility": 22 + 40 * far,
            "lamps": True,
        },
        "rain": {
            "sun": (0.0, 0.0, 0.0),
            "ambient": (0.8 * grey, 0.82 * grey, 0.88 * grey),
            "horizon": (grey * 0.82, grey * 0.85, grey * 0.9),
            "zenith": (grey * 0.6, grey * 0.63, grey * 0.7),
            "clouds": 1.0,
            "visibility": 90 + 160 * far,
            "wetness": wet,
            "rain": wet,
            "lamps": True,
        },
    }


def _colour(values: np.ndarray) -> Colour:
    r, g, b = np.clip(values, 0.0, 1.0)
    return float(r), float(g), float(b)
