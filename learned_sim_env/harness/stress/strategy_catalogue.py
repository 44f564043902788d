"""All strategies by name, as text and as JSON."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from learned_sim_env.harness.engine.perturbation import Perturbation
from learned_sim_env.harness.stress.strategies.disturbed_actions import (
    ActionBias,
    ActionDelay,
    ActionDropout,
    ActionNoise,
    ActionPulse,
)
from learned_sim_env.harness.stress.strategies.disturbed_appearance import Fog, Night, Rain, SuddenFog, SuddenNight
from learned_sim_env.harness.stress.strategies.disturbed_latents import (
    LatentComposition,
    LatentFlips,
    LatentNoise,
    LatentTemperature,
)
from learned_sim_env.harness.stress.strategies.disturbed_observations import (
    Blur,
    DroppedFrames,
    Occlusion,
    Patch,
    SensorNoise,
    Weather,
)
from learned_sim_env.harness.stress.strategies.disturbed_starts import Injection, Pedestrian, Tails, ViewComposition
from learned_sim_env.spec import unknown

# In the order of a report. A pulse has a shape, which only a search gives it.
SWEPT: tuple[type[Perturbation], ...] = (
    LatentNoise,
    LatentTemperature,
    LatentFlips,
    LatentComposition,
    ViewComposition,
    Tails,
    Injection,
    Pedestrian,
    ActionNoise,
    ActionBias,
    ActionDelay,
    ActionDropout,
    Night,
    Fog,
    Rain,
    SuddenNight,
    SuddenFog,
    Patch,
    Occlusion,
    Blur,
    SensorNoise,
    DroppedFrames,
    Weather,
)
ALL: tuple[type[Perturbation], ...] = (*SWEPT, ActionPulse)
STRATEGIES = {strategy.name: strategy for strategy in ALL}


def from_dict(values: dict[str, Any]) -> Perturbation:
    """What `Perturbation.to_dict` gave; `ValueError` for an unknown strategy or setting."""
    values = dict(values)
    name = values.pop("name", None)
    if name not in STRATEGIES:
        raise unknown("strategy", name, STRATEGIES)
    known = [f.name for f in fields(STRATEGIES[name])]
    for key in values:
        if key not in known:
            raise unknown(f"setting of strategy {name}:", key, known)
    return STRATEGIES[name](**values)


def parse(text: str) -> Perturbation:
    """A strategy with its strength and, if you like, its seed: "action_delay=0.5" or "weather=0.3@7".

    Raises:
        ValueError: for an unknown strategy, or what are no numbers.
    """
    name, _, numbers = text.partition("=")
    strength, _, seed = numbers.partition("@")
    try:
        values = {"strength": float(strength), "seed": int(seed or 0)}
    except ValueError as error:
        raise ValueError(f"{text!r} is not a strategy with a strength, as action_delay=0.5: {error}") from error
    return from_dict({"name": name, **values})
