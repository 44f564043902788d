"""What a state looks like from above: the map, road that is imagined where none is remembered, road users, the ego."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from learned_sim_env.rendering.boxes import paint_boxes, paint_ego
from learned_sim_env.spec import EGO_SIZE
from learned_sim_env.world_model.geometry import points_from, view_points
from learned_sim_env.world_model.protocol import Observation, State
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN, Exact
from learned_sim_env.world_model.rssm.parts import Parts
from learned_sim_env.world_model.rssm.roads import plan
from learned_sim_env.world_model.rssm.roads.painting import RoadPainter
from learned_sim_env.world_model.rssm.route.path import seen_from, waypoints


class Drawing(Parts):
    """Draws the states of the parts."""

    _painter: RoadPainter | None = None

    def draw(self, state: State, names: Sequence[str]) -> tuple[Observation, State]:
        """The view "bev" (B, H, W) uint8, the waypoints "route" (B, 10, 2) float32 [m], and the state in which newly
        imagined map is remembered.
        """
        drawn: Observation = {}
        if "route" in names:
            drawn["route"] = waypoints(state["route"], state["pose"])
        if "bev" in names:
            drawn["bev"], state = self._view(state)
        return drawn, state

    def seen_places(self, state: State) -> Tensor:
        """(B, H, W) bool: where the map under the view was really observed."""
        bev = self.contract.bev
        points = view_points(bev, state["pose"].device).expand(len(state["pose"]), -1, -1)
        ids = self.memory.read(state["map"], state["map_origin"], points_from(points, state["pose"]), seen_only=True)
        return (ids != UNKNOWN).view(-1, bev.height, bev.width)

    def _view(self, state: State) -> tuple[Tensor, State]:
        """The view from above, and the state after it."""
        cells, origin = self.memory.follow(state["map"], state["map_origin"], state["pose"])
        lay = None if self.roads is None else self._road_layer(state)

        def imagine(rows: Tensor, remembered: Tensor) -> tuple[Tensor, Exact]:
            latent = torch.cat([state["h"][rows], state["z"][rows]], -1)
            route = seen_from(state["route"][rows], state["pose"][rows])
            canvas, road = self.decoder.fill(latent, route, remembered)
            return canvas, road.at

        view = self.memory.complete_view(cells, origin, state["pose"], imagine, lay)
        return self._paint(view, state), {**state, "map": cells, "map_origin": origin}

    def _road_layer(self, state: State) -> Callable[[int, Tensor, Tensor], None]:
        """What paints the pieces of road of a row of a state into its map, in place."""
        assert self.roads is not None
        if self._painter is None:
            self._painter = RoadPainter(self.roads, self.config.map_size, self.contract.bev.metres_per_pixel)
        painter, pieces = self._painter, [state[name].cpu().numpy() for name in plan.LAID]

        def lay(row: int, cells: Tensor, origin: Tensor) -> None:
            ids = cells.cpu().numpy()
            painter.paint(ids, origin.cpu().numpy(), *(values[row] for values in pieces))
            cells.copy_(torch.from_numpy(ids))

        return lay

    def _paint(self, ids: Tensor, state: State) -> Tensor:
        """Agents and ego over the map, by the code that paints simulators' scenes."""
        image = ids.cpu().numpy()
        there = state["agent_class"] > 0
        row, _ = there.nonzero(as_tuple=True)
        paint_boxes(
            image,
            row.cpu().numpy(),
            state["agent_pose"][there].cpu().numpy(),
            state["agent_size"][there].cpu().numpy(),
            state["agent_class"][there].cpu().numpy(),
            self.contract.bev,
        )
        paint_ego(image, *EGO_SIZE, self.contract.bev)
        return torch.from_numpy(image).to(ids.device)
