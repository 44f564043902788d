"""Sizes of the world model: the architecture part of a checkpoint's `config.json`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RSSMConfig:
    """Architecture of `DrivingRSSM`."""

    hidden: int = 128  # width of the recurrent state h
    groups: int = 8  # categorical latents ...
    classes: int = 16  # ... of this many classes; below 16, a softmax takes ten times as long on a CPU
    embedding: int = 256  # width of an encoded view
    channels: int = 96  # of encoder and decoder, per patch
    surroundings: int = 32  # features of the nearby map, and of the nearby agents
    head_hidden: int = 128
    slots: int = 6  # agents remembered at a time
    map_size: int = 128  # [cells] side of the remembered map
    conflicts: bool = False  # whether others are told where their paths meet others' and the ego's; new ones are
    neighbours: bool = False  # whether features tell who is next to the ego, ahead and behind; those of new models do
    birth_tries: int = 1  # places at which a road user comes into view if they are on a road: of new models, several
    # Lengths of the tables of pieces of road, see `roads.library.Sizes`; none: the map decoder alone imagines road.
    roads: tuple[int, ...] = ()


# By name, as `learned-sim train --model` knows them.
SIZES = {
    "rssm-tiny": RSSMConfig(
        hidden=32,
        groups=4,
        classes=16,
        embedding=32,
        channels=16,
        surroundings=16,
        head_hidden=32,
        slots=4,
        conflicts=True,
        neighbours=True,
        birth_tries=4,
    ),
    "rssm-small": RSSMConfig(conflicts=True, neighbours=True, birth_tries=4),
    "rssm-base": RSSMConfig(
        hidden=512,
        groups=32,
        classes=32,
        embedding=512,
        channels=192,
        head_hidden=384,
        conflicts=True,
        neighbours=True,
        birth_tries=4,
    ),
}
