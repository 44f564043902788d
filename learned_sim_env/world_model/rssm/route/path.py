"""The route ahead: a chain of stations on the ground that the ego moves along, imagined on, once, at its end.

Where the ego is on the route follows from the chain, and road is drawn around it: what is felt and what is seen agree.
In a state it is `route` (B, STATIONS + 1, 3): places [m] and headings [rad], unwrapped, of the chords from a station to
the next one, `STATION` metres on, in the anchored frame. The ego is between the second station and the third.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.road import STATION, STATIONS
from learned_sim_env.spec import WAYPOINTS
from learned_sim_env.world_model.geometry import place, product, turn, wrap
from learned_sim_env.world_model.layers import MLP, drawn

# [m] Where the map was not seen, road is assumed within this distance of the route.
ROADWAY = 7.0
# Chords whose headings are network inputs, counted from the ego's own: evenly spaced, see `alongside`.
HEADING_CHORDS = (0, 3, 6, 9, 12)
# Turns between successive chords from which the next one is guessed.
PAST = 4
# Turns that can be imagined [rad]: finest around none. A power of two, for a fast softmax.
TURNS = 32
SHARPEST = 0.6
# [rad] Unit of turns in networks.
TURN_SCALE = 0.2


class RoutePath(nn.Module):
    """Follows the route, and guesses how it goes on; `route.finder` finds it in a view."""

    def __init__(self) -> None:
        super().__init__()
        self.guess = MLP(PAST, (32,), TURNS, norm=False)
        grid = torch.linspace(-1, 1, TURNS - 1)
        self.turns: Tensor
        # Powers keep the middle one at exactly none; the last is there to make the number even and never likely.
        turns = SHARPEST * grid * grid.abs()
        self.register_buffer("turns", torch.cat([turns, turns[-1:]]), persistent=False)

    def guesses(self, turns: Tensor) -> Tensor:
        """Logits (..., TURNS) of the next turn from the last ones (..., PAST) [rad]."""
        return self.guess(turns / TURN_SCALE).float()

    def guess_loss(self, headings: Tensor) -> Tensor:
        """Cross-entropy (...) of the turns in true headings (..., STATIONS)."""
        turns = headings.diff(dim=-1)
        last = turns.unfold(-1, PAST, 1)[..., :-1, :]
        wanted = (turns[..., PAST:, None] - self.turns[:-1]).abs().argmin(-1)
        loss = F.cross_entropy(self.guesses(last).flatten(0, -2), wanted.flatten(), reduction="none")
        return loss.view(wanted.shape).mean(-1)

    def follow(self, route: Tensor, pose: Tensor, uniform: Tensor | None) -> Tensor:
        """The chain when the ego is at `pose` (B, 3): one station on in rows where it passed one.

        uniform: (B,) in [0, 1), at which the distribution of the next turn is inverted; None takes its mode.
        """
        along = product(place(pose) - place(route[:, 1]), turn(-route[:, 1, 2])).real
        heading = route[:, -PAST - 1 :, 2]
        likely = self.guesses(heading.diff(dim=-1)).softmax(-1)
        which = likely.argmax(-1) if uniform is None else drawn(likely, uniform)
        last = route[:, -1]
        end = torch.view_as_real(place(last) + STATION * turn(last[:, 2]))
        new = torch.cat([end, (last[:, 2] + self.turns.take(which))[:, None]], -1)
        return torch.where((along > STATION)[:, None, None], torch.cat([route[:, 1:], new[:, None]], 1), route)


def chain(headings: Tensor, ego: Tensor) -> Tensor:
    """The route (B, STATIONS + 1, 3) in the ego frame.

    headings: (B, STATIONS) of the chords ahead, relative to the route's where the ego is [rad]. ego: (B, 6) vectors,
    whose distance and heading error it keeps.
    """
    heading = -ego[:, 5]
    chords = heading[:, None] + headings
    # Its tangent at a station is the mean of the chords' on both sides: such that the one at the ego is as observed.
    chords = torch.cat([2 * heading[:, None] - chords[:, :1], chords], 1)
    steps = STATION * turn(chords)
    places = beside_ego(ego)[:, None] + torch.cat([-steps[:, :1], (steps[:, 1:].cumsum(1) - steps[:, 1:])], 1)
    return torch.cat([torch.view_as_real(places), chords[..., None]], -1)


def beside_ego(ego: Tensor) -> Tensor:
    """Where on the route an ego with the vector (B, 6) is, in its own frame: complex (B,) [m]."""
    distance, heading = ego[:, 4], -ego[:, 5]
    return torch.complex(distance * torch.sin(heading), -distance * torch.cos(heading))


def seen_from(route: Tensor, pose: Tensor) -> Tensor:
    """A chain in the frame of `pose` (B, 3), which is given in the same frame as the chain was."""
    places = product(place(route) - place(pose)[:, None], turn(-pose[:, None, 2]))
    return torch.cat([torch.view_as_real(places), route[..., 2:] - pose[:, None, 2:]], -1)


def swath(route: Tensor, arcs: Tensor, across: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Places by a route (B, STATIONS + 1, 3), in its frame.

    Args:
        arcs: (A,) [m] along it, from the second station on. across: (C,) [m] left of it.

    Returns:
        The route's places there, complex (B, A) [m], and headings (B, A) [rad]; and the places (B, A, C), complex.
    """
    index = (arcs / STATION).floor().long() + 1
    chord = route[:, index.clamp(0, route.shape[1] - 1)]
    ahead = turn(chord[..., 2])
    middle = place(chord) + (arcs - (index - 1) * STATION) * ahead
    return middle, chord[..., 2], middle[..., None] + (ahead * 1j)[..., None] * across


def alongside(route: Tensor, pose: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where a pose (B, 3) is on the route.

    Returns:
        Offset [m], left positive, and heading error [rad], both (B,): a cubic with the chain's tangents lies between
        its stations. And the headings (B, len(HEADING_CHORDS)) [rad] of chords ahead, seen from the pose, not wrapped.
    """
    heading = route[:, :, 2]
    seen = product(place(pose) - place(route[:, 1]), turn(-heading[:, 1]))
    t = (seen.real / STATION).clamp(0, 1)
    bends = heading[:, :3].diff(dim=-1) / 2
    first, second = -bends[:, 0], bends[:, 1]
    side = t * (1 - t) * ((1 - t) * first - t * second) * STATION
    here = heading[:, 1] + first + t * (second - first)
    # The ego's chord is the second one, and every third is told.
    told = torch.lerp(heading[:, 1::3], heading[:, 2::3], t[:, None]) - pose[:, 2:]
    return seen.imag - side, wrap(pose[:, 2] - here), told


def waypoints(route: Tensor, pose: Tensor) -> Tensor:
    """(B, WAYPOINTS, 2) float32 [m]: points of the route, `STATION` metres apart, in the frame of a pose (B, 3).

    As `road.RoadIndex.waypoints`: the first is `STATION` metres on from where the pose is beside the route.
    """
    heading = route[:, :3, 2]
    chord = heading[:, 1]
    along = product(place(pose) - place(route[:, 1]), turn(-chord)).real
    # In a bend, square to the route is not square to its chord.
    bends = heading.diff(dim=-1) / 2
    tangent = chord - bends[:, 0] + (along / STATION).clamp(0, 1) * bends.sum(1)
    foot = place(route[:, 1]) + along * turn(chord)
    along = along + product(place(pose) - foot, turn(-tangent)).real
    share = (along / STATION).clamp(0, 1)[:, None, None]
    points = torch.lerp(route[:, 2 : WAYPOINTS + 2, :2], route[:, 3 : WAYPOINTS + 3, :2], share)
    seen = product(torch.view_as_complex(points.contiguous()) - place(pose)[:, None], turn(-pose[:, None, 2]))
    return torch.view_as_real(seen)


class Beside(NamedTuple):
    """Where N places are by their nearest stations, all (B, N): metres along the route from the second station and
    across it (left positive), the route's heading there [rad], and the station's number.
    """

    arc: Tensor
    across: Tensor
    heading: Tensor
    which: Tensor

    def features(self) -> Tensor:
        """(B, N, SIDES + 5) float32, near 1."""
        centres = torch.arange(SIDES, device=self.across.device) * SIDE - (SIDES - 1) / 2 * SIDE
        near = torch.exp(-(((self.across[..., None] - centres) / SIDE) ** 2))
        along = self.arc / STATION - (self.which - 1)
        h, facts = self.heading, (along.clamp(-2, 2), (self.across / 10).clamp(-3, 3))
        return torch.cat([near, torch.stack([*facts, h.cos(), h.sin(), self.which / STATIONS], -1)], -1)


def beside(route: Tensor, points: Tensor) -> Beside:
    """Where places (B, N, 2) [m] are beside a route in the same frame."""
    places, stations = place(points), place(route)
    # Squared distances, less what is the same for all stations.
    far = stations.abs().square()[:, None] - 2 * points @ route[..., :2].transpose(1, 2)
    # `argmin` takes twice as long on a CPU.
    which = far.min(-1)[1]
    # A station's heading is the mean of the chords' on both sides.
    heading = torch.cat([route[:, :1, 2], (route[:, 1:, 2] + route[:, :-1, 2]) / 2], 1).gather(1, which)
    seen = product(places - stations.gather(1, which), turn(-heading))
    return Beside((which - 1) * STATION + seen.real, seen.imag, heading, which)


# Lateral places [m] that `beside` tells apart.
SIDES, SIDE = 17, 1.5
