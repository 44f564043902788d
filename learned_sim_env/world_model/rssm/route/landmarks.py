"""What a view shows of how a drive may end: where the route does, and what stands in the way.

Both are places on the ground, found whenever a view is seen; whether the ego has come to them follows from where it
is, for a simulator (`task.events`) and for a dream alike. In a state, in the anchored frame: `route_end` (B, 3),
`obstacles` (B, OBSTACLES, 2); `FAR` away where there is none.
"""

from __future__ import annotations

import torch
from torch import Tensor

from learned_sim_env.road import STATION
from learned_sim_env.spec import EGO_SIZE, BevSpec, SemanticClass
from learned_sim_env.world_model.geometry import place, product, sample_nearest, turn
from learned_sim_env.world_model.rssm.route.path import swath

FAR = 1e4  # [m]
# Obstacles remembered, the nearest.
OBSTACLES = 16
# [m] Half of what stands there, and of the pixel that shows it: cones are smaller, barriers are longer.
HALF_OBSTACLE = 0.3
# The route is looked along in steps of this [m], as far as a view may reach, at these places across it [m]; it ends
# where there is no road at the inner ones, and none any more at any of them.
APART, REACH = 0.5, 44.0
INNER, OUTER = (-1.0, -0.4, 0.4, 1.0), (-7.0, -5.5, -4.0, -2.5, 2.5, 4.0, 5.5, 7.0)
# [m] So much of what lies beyond an end must be in view, from so far beyond; and a road's last pixel reaches beyond the
# road by so much.
BEYOND, CLEAR, OVERHANG = 3.0, 1.5, 0.25
# [m] Where an end is found may be off by this.
SLACK = 0.75


def find_obstacles(semantic: Tensor, points: Tensor) -> Tensor:
    """(B, OBSTACLES, 2) [m] in the ego frame, from a view (B, H, W) uint8 whose pixels lie at `points` (H * W, 2)."""
    away = torch.where(semantic.flatten(1) == SemanticClass.STATIC_OBJECT, points.norm(dim=-1), FAR)
    distance, which = away.topk(OBSTACLES, largest=False, sorted=False)
    return torch.where((distance < FAR)[..., None], points[which], FAR)


def find_route_end(semantic: Tensor, route: Tensor, bev: BevSpec, nearest: float = -FAR) -> Tensor:
    """(B, 3) in the ego frame: where, along a route as `route.path` has it, the road in a view (B, H, W) uint8 ends.

    nearest: [m] an end that is nearer than this is none, as where the ego would have arrived already.
    """
    arcs = torch.arange(-STATION, REACH, APART, device=route.device)
    middle, heading, places = swath(route, arcs, torch.tensor(INNER + OUTER, device=route.device))
    ids, inside = (x.view_as(places) for x in sample_nearest(semantic, torch.view_as_real(places.flatten(1)), bev))
    road = (ids != SemanticClass.OFF_ROAD) & inside
    on = road[..., : len(INNER)].float().mean(-1) >= 0.5
    last = torch.where(on, arcs, -torch.inf).argmax(1, keepdim=True)
    beyond = arcs - arcs[last]
    seen = (inside[..., : len(INNER)].all(-1) & (beyond > 0)).sum(1) * APART >= BEYOND
    more = (road.any(-1) & (beyond >= CLEAR) & (beyond < CLEAR + BEYOND)).any(1)
    at = torch.view_as_real((middle - OVERHANG * turn(heading)).gather(1, last)[:, 0])
    end = torch.cat([at, heading.gather(1, last)], -1)
    before, _ = route_left(end, torch.zeros_like(end))
    return torch.where((on.any(1) & seen & ~more & (before >= nearest - SLACK))[:, None], end, FAR)


def obstacle_gap(obstacles: Tensor, pose: Tensor) -> Tensor:
    """How far the nearest obstacle is from touching an ego at `pose` (B, 3): (B,) [m], below 0 where it does."""
    seen = torch.view_as_real(product(place(obstacles) - place(pose)[:, None], turn(-pose[:, None, 2]))).abs()
    half = seen.new_tensor(EGO_SIZE) / 2 + HALF_OBSTACLE
    return (seen - half).amax(-1).amin(-1)


def route_left(end: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
    """How far an ego at `pose` (B, 3) is before the end of the route, `FAR` if that is not known, and left of it: (B,)
    [m] each.
    """
    seen = product(place(pose) - place(end), turn(-end[:, 2]))
    return torch.where(end[:, 0] < FAR, -seen.real, FAR), seen.imag
