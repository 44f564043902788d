"""What a measure, or a way to disturb a drive, needs of a world model; where it is lacking, why, in plain words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# By the name of a protocol in `world_model.protocol`: what a model that is none of it lacks.
_LACKING = {
    "LatentModel": "has no recurrent state with categorical latents",
    "MovableEgo": "cannot put its ego elsewhere",
    "MapModel": "has no map memory",
    "FrameCoder": "codes no frames by themselves",
    "ScenePainter": "cannot be told what is truly there",
}


@dataclass(frozen=True)
class Needs:
    """Declaring it loads nothing.

    draws, observes: modalities. capabilities: names of protocols, those of `_LACKING`. cameras: whether it has to draw
    cameras. pictures: whether it has to draw anything to be seen, cameras or classes.
    """

    draws: tuple[str, ...] = ()
    observes: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    cameras: bool = False
    pictures: bool = False

    def lacking(self, model: Any) -> str | None:
        """What a `WorldModel` lacks first, as the end of "not applicable: ..."; None if nothing."""
        from learned_sim_env.world_model import protocol

        name = type(model).__name__
        for verb, needed, known in (("draws", self.draws, model.draws), ("observes", self.observes, model.observes)):
            for modality in needed:
                if modality not in known:
                    return f"{name} {verb} {listed(known)}, not {modality}"
        if self.cameras or self.pictures:
            kinds = {model.contract.modality(modality).kind for modality in model.draws}
            if self.cameras and "rgb" not in kinds:
                return f"{name} draws {listed(model.draws)}, no camera"
            if self.pictures and not kinds & {"rgb", "classes"}:
                return f"{name} draws {listed(model.draws)}, nothing to be seen"
        for capability in self.capabilities:
            if not isinstance(model, getattr(protocol, capability)):
                return f"{name} {_LACKING[capability]}"
        return None


NOTHING = Needs()


def listed(names: Iterable[str]) -> str:
    """Names as a person lists them."""
    *most, last = list(names) or ["nothing"]
    return f"{', '.join(most)} and {last}" if most else last
