"""Scenery that comes into reach as the ego goes on: what stands in squares of ground that were never in reach before.

In a state, in the anchored frame: `scenery_pose` (B, S, 3) x, y, heading, `scenery_size` (B, S, 3) length, width,
height [m], `scenery_kind` (B, S) uint8 `SceneryKind`, 0 for an empty slot, `scenery_colour` (B, S, 4); which squares
are decided, `scenery_decided`, see `lattice`; and the chance by which the next ones are, `scenery_chance`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from learned_sim_env.spec import BevSpec, SceneryKind
from learned_sim_env.world_model.geometry import wrap
from learned_sim_env.world_model.layers import MLP, drawn, one_hot
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.camera.scenery.lattice import FAR_REACH, LARGE, Lattice, Squares, seen_from
from learned_sim_env.world_model.rssm.camera.scenery.roadside import FEATURES, KINDS, RoadsideView, is_road
from learned_sim_env.world_model.rssm.map.memory import MapMemory

# Squares that are decided in a step, and things that are born; the next step goes on with the others.
SQUARES, BORN = 24, 4
# Classes of a square: nothing and all kinds; others are impossible: a CPU's softmax of fewer than 16 takes ten times as
# long.
LOGITS, IMPOSSIBLE = 16, -1e4
# Kinds that are so thin that they are decided late, see `lattice`.
THIN = (SceneryKind.LAMP, SceneryKind.POST)
# What a thing is like is told by these quantiles, between which it is interpolated: of its place in the square, towards
# the road and left of that [m], and its heading from that direction [rad]; of length, width and height [m].
QUANTILES = (0.05, 0.275, 0.5, 0.725, 0.95)
PLACED, SIZED = 3, 3
# [m] Units of these in the network.
SCALES = (2.0, 2.0, 1.5)
# Uniforms of a row for a step: one a square, six a thing born.
UNIFORMS = SQUARES + BORN * (PLACED + SIZED)
# Multiples of these, modulo 1, are spread evenly over the plane (M. Roberts 2018, "The unreasonable effectiveness of
# quasirandom sequences", R2).
_EVEN = (0.7548776662466927, 0.5698402909980532)
# Where around a thing it is looked for road, in its distance from it.
_AROUND = ((0, 0), (1, 0), (0.7, 0.7), (0, 1), (-0.7, 0.7), (-1, 0), (-0.7, -0.7), (0, -1), (0.7, -0.7))
# [m] What is nearer was seen well enough to stay where the map says that road is.
CERTAIN = 18.0
# [m] By which what is out of sight counts as farther, when there are not enough slots.
UNSEEN = 25.0
KEYS = ("scenery_pose", "scenery_size", "scenery_kind", "scenery_colour")


class Born(NamedTuple):
    """Things in B rows: `come` (B, BORN) bool, whether there is one; pose (B, BORN, 3), size (B, BORN, 3), kind."""

    come: Tensor
    pose: Tensor
    size: Tensor
    kind: Tensor


class SceneryBirths(nn.Module):
    """Decides squares that come into reach, forgets what is left behind.

    Args:
        bev: the view whose pixels are the cells of the map.
        map_size: see `MapMemory`.
        hidden: width of the networks.
    """

    def __init__(self, bev: BevSpec, map_size: int, hidden: int = 96):
        super().__init__()
        self.lattice, self.memory = Lattice(bev.metres_per_pixel), MapMemory(bev, map_size)
        self.view = RoadsideView(bev, map_size)
        self.kinds = MLP(FEATURES, (hidden, hidden), LOGITS, norm=False)
        self.places = MLP(FEATURES + KINDS, (hidden,), PLACED * len(QUANTILES), norm=False)
        # Belong to a finished model, see `training.rssm.camera.births_calibration`: how large things are, how far they
        # keep clear of the road and two kinds apart [m], how much likelier they are than learned (logits' differences).
        self.sizes: Tensor
        self.register_buffer("sizes", torch.ones(KINDS, SIZED, len(QUANTILES)))
        self.likelier: Tensor
        self.register_buffer("likelier", torch.zeros(LOGITS))
        self.clear: Tensor
        self.register_buffer("clear", torch.zeros(KINDS + 1))
        self.apart: Tensor
        self.register_buffer("apart", torch.zeros(KINDS + 1, KINDS + 1))
        thin = torch.zeros(KINDS + 1, dtype=torch.long)
        thin[list(THIN)] = LARGE
        # The stage at which a kind is decided, and by stage the logits of what is not decided then.
        self.stage_of: Tensor
        self.register_buffer("stage_of", thin, persistent=False)
        self.impossible: Tensor
        other = torch.full((2, LOGITS), IMPOSSIBLE)
        other[0, : KINDS + 1] = torch.where(thin == 0, 0, IMPOSSIBLE)
        other[1, : KINDS + 1] = torch.where(thin == LARGE, 0, IMPOSSIBLE)
        other[:, 0] = 0
        self.register_buffer("impossible", other, persistent=False)
        self.scales: Tensor
        self.register_buffer("scales", torch.tensor(SCALES), persistent=False)
        levels = torch.tensor(QUANTILES)
        self.levels: Tensor
        self.register_buffer("levels", levels, persistent=False)

    def initial(self, pose: Tensor) -> State:
        """This part of a state, the ego at `pose` (B, 3) when all that is in sight was really seen."""
        return {
            "scenery_decided": self.lattice.seen(pose),
            "scenery_chance": pose.new_zeros(len(pose), 1 + UNIFORMS),
        }

    def chance(self, uniforms: Tensor | None, temperature: float, rows: Tensor) -> Tensor:
        """(B, 1 + UNIFORMS): what a step of imagination decides about the next `forward`.

        uniforms: (B, UNIFORMS) in [0, 1), or None. rows: any tensor (B, ...) float32.
        """
        warm = rows.new_full((len(rows), 1), 0.0 if uniforms is None else max(temperature, 0.0))
        uniforms = rows.new_zeros(len(rows), UNIFORMS) if uniforms is None else uniforms
        return torch.cat([warm, uniforms], -1)

    def forward(self, state: State) -> State:
        """What changes in a state: what came into reach since the last time is there, what is behind is not any more.

        At a temperature of 0 a square's most likely content is nothing, and of all worlds the bare one would be the
        least likely; so as many things as on average stand evenly spread, each the most common one in the middle of
        where it may be.
        """
        pose = state["pose"]
        there = state["scenery_kind"] * self.kept(state)
        things = {**{key: state[key] for key in KEYS}, "scenery_kind": there}
        decided, squares = self.lattice.due(state["scenery_decided"], pose, SQUARES, reach(things, pose))
        born, row = _nothing(pose), squares.row
        if len(row):
            logits, features, towards = self.guesses(state, squares, things)
            warm, uniforms, each = state["scenery_chance"].split([1, SQUARES, BORN * (PLACED + SIZED)], 1)
            warm = warm[row, 0]
            kind = self._drawn(logits, squares, uniforms[row, squares.rank], warm)
            kind = kind.masked_fill(self._taken(squares, things), 0)
            come = kind > 0
            # Squares after the last thing that can be born have to wait.
            order = uniforms.new_zeros(uniforms.shape, dtype=torch.long).index_put((row, squares.rank), come.long())
            order = order.cumsum(-1)[row, squares.rank]
            now = (order < BORN) | ((order == BORN) & come)
            some = (come & now).nonzero()[:, 0]
            if len(some):
                at = row[some], order[some] - 1
                share = (each.unflatten(1, (BORN, -1))[at] - 0.5) * warm[some, None] + 0.5
                kind = kind[some]
                new = self._like(kind, squares.middle[some], features[some], towards[some], share.clamp(0, 1))
                values = (torch.ones_like(kind, dtype=torch.bool), *new, kind)
                born = Born(*(old.index_put(at, value) for old, value in zip(born, values, strict=True)))
                born = self._allowed(born, state, things)
            decided = decided.index_put((row, squares.square), (squares.stage + now).to(torch.uint8))
        return {**_nearest(born, things, pose), "scenery_decided": decided}

    def guesses(self, state: State, squares: Squares, things: State) -> tuple[Tensor, Tensor, Tensor]:
        """Of N squares: logits (N, LOGITS) of what stands there, and the fields of `Roadside`."""
        seen = self.view(state, things, squares)
        logits = self.kinds(seen.features).float() + self.impossible[squares.stage]
        return logits + self.likelier, *seen

    def placed(self, features: Tensor, kind: Tensor) -> Tensor:
        """Quantiles (N, PLACED, Q) of where kinds (N,) int64 of things stand in squares with features (N, FEATURES)."""
        sort = one_hot(kind - 1, KINDS, features.dtype)
        return self.places(torch.cat([features, sort], -1)).float().unflatten(-1, (PLACED, -1)) * self.scales[:, None]

    def _drawn(self, logits: Tensor, squares: Squares, uniforms: Tensor, warm: Tensor) -> Tensor:
        """Kinds (N,) int64, 0 for nothing: at any temperature as often something, below 1 rather what is common.

        uniforms, warm: (N,), temperatures.
        """
        chances = logits.softmax(-1)
        # Of what it is, if it is anything.
        kinds = (logits[:, 1:] / warm[:, None].clamp_min(1e-2)).softmax(-1) * (1 - chances[:, :1])
        u, v = squares.number.double().unbind(-1)
        even = u * _EVEN[0] + v * _EVEN[1] + 0.5 * squares.stage
        uniforms = torch.where(warm > 0, uniforms, (even - even.floor()).float())
        return drawn(torch.cat([chances[:, :1], kinds], -1), uniforms)

    def _taken(self, squares: Squares, things: State) -> Tensor:
        """(N,) bool: whether something stands in a square already that would be decided now."""
        kind = things["scenery_kind"].long()
        there = self.stage_of[kind][squares.row] == squares.stage[:, None]
        there &= self.in_squares(squares, things)
        return there.any(-1)

    def in_squares(self, squares: Squares, things: State) -> Tensor:
        """(N, K) bool: which of the things (B, K) of a square's row stand in it."""
        number = self.lattice.numbers(things["scenery_pose"][..., :2])[squares.row]
        return (squares.number[:, None] == number).all(-1) & (things["scenery_kind"] > 0)[squares.row]

    def _like(
        self, kind: Tensor, middle: Tensor, features: Tensor, towards: Tensor, each: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Poses and sizes (N, 3) of things of a kind (N,) in squares with middles (N, 2), at uniforms (N, 6)."""
        quantiles = torch.cat([self.placed(features, kind), self.sizes[kind - 1]], -2)
        across, along, heading, *size = interpolated(quantiles, self.levels, each).unbind(-1)
        c, s = towards.unbind(-1)
        half = 0.499 * self.lattice.side
        off = torch.stack([across * c - along * s, across * s + along * c], -1).clamp(-half, half)
        # In double precision, which is the same to the bit wherever in a batch it stands once it is rounded.
        ahead = torch.atan2(s.double(), c.double()).float()
        pose = torch.cat([middle + off, wrap(ahead + heading)[:, None]], -1)
        return pose, torch.stack(size, -1).clamp_min(0.05)

    def _allowed(self, born: Born, state: State, things: State) -> Born:
        """Those that neither stand on the road nor too near another thing."""
        xy, road = born.pose[..., :2], self._on_road(born.pose[..., :2], born.kind, state)
        kind = torch.cat([things["scenery_kind"].long(), born.kind * born.come], 1)
        away = xy[:, :, None] - torch.cat([things["scenery_pose"][..., :2], xy], 1)[:, None]
        apart = self.apart[born.kind[:, :, None], kind[:, None]] * (kind > 0)[:, None]
        close = (away * away).sum(-1) < apart * apart
        # Of two new ones the first is born.
        slots = things["scenery_kind"].shape[1]
        earlier = torch.ones(BORN, BORN, dtype=torch.bool, device=xy.device).tril(-1)
        close = torch.cat([close[..., :slots], close[..., slots:] & earlier], -1)
        return born._replace(come=born.come & ~road & ~close.any(-1))

    def kept(self, state: State) -> Tensor:
        """(B, S) bool: which things stay, because their squares are remembered; what turns out to stand on the road, as
        soon as the map is known there, was a mistake.
        """
        place, pose = state["scenery_pose"][..., :2], state["pose"]
        away = place - pose[:, None, :2]
        far = (away * away).sum(-1) > CERTAIN**2
        return self.lattice.holds(place, pose) & ~(far & self._on_road(place, state["scenery_kind"].long(), state))

    def _on_road(self, place: Tensor, kind: Tensor, state: State) -> Tensor:
        """(B, N) bool: whether kinds (B, N) int64 of things at places (B, N, 2) stand too near road that is known."""
        around = self.clear[kind][..., None, None] * place.new_tensor(_AROUND)
        points = (place[:, :, None] + around).flatten(1, 2)
        ids = self.memory.read(state["map"], state["map_origin"], points)
        return is_road(ids).unflatten(1, (-1, len(_AROUND))).any(-1)


def _nothing(pose: Tensor) -> Born:
    """Nothing, in as many rows as `pose` has."""
    new = pose.new_zeros(len(pose), BORN, 3)
    return Born(new[..., 0].bool(), new, torch.ones_like(new), new[..., 0].long())


def reach(things: State, pose: Tensor, most: float = FAR_REACH) -> Tensor:
    """(B,) [m]: how far from the ego at `pose` (B, 3) it is known what there is: `most`, and, if there is no empty
    slot, not beyond the farthest of the things ahead, for the next one had none.
    """
    far, ahead = seen_from(things["scenery_pose"][..., :2] - pose[:, None, :2], pose)
    farthest = (far * (ahead >= 0)).amax(-1)
    return torch.where((things["scenery_kind"] > 0).all(-1), farthest, most).clamp_max(most)


def _nearest(born: Born, things: State, pose: Tensor) -> State:
    """The nearest of all, those out of sight last, as many as there are slots; the nearest first."""
    slots = things["scenery_kind"].shape[1]
    colour = things["scenery_colour"]
    new = (born.pose, born.size, (born.kind * born.come).to(torch.uint8), colour.new_zeros(*born.come.shape, 4))
    everything = {key: torch.cat([things[key], value], 1) for key, value in zip(KEYS, new, strict=True)}
    far, ahead = seen_from(everything["scenery_pose"][..., :2] - pose[:, None, :2], pose)
    far = (far + UNSEEN * (ahead < 0)).masked_fill(everything["scenery_kind"] == 0, 1e4)
    order = far.sort(dim=-1, stable=True).indices[:, :slots]
    return {
        key: value.gather(1, order if value.ndim == 2 else order[..., None].expand(-1, -1, value.shape[-1]))
        for key, value in everything.items()
    }


def interpolated(quantiles: Tensor, levels: Tensor, at: Tensor) -> Tensor:
    """(...): a distribution whose quantiles (..., Q) at `levels` (Q,) are given, inverted `at` (...); beyond the first
    and the last it goes on as between them and the next.
    """
    quantiles = quantiles.sort(-1).values
    above = torch.searchsorted(levels, at.contiguous()).clamp(1, len(levels) - 1)
    low, high = (quantiles.gather(-1, i[..., None])[..., 0] for i in (above - 1, above))
    share = (at - levels[above - 1]) / (levels[above] - levels[above - 1])
    return low + (high - low) * share
