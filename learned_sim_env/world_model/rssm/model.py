"""The driving world model: a recurrent state-space model whose state is factored by what the world is made of.

The ego's own motion has an exact residual path (`ego_path`); what stands still is a remembered map moved rigidly by
that motion (`map_memory`, `map_decoder`); the route is a chain of stations on the ground (`route_finder`,
`route_path`), its end and what stands in the way are places there (`landmarks`); road users are boxes with motion of
their own (`agents`, `detector`); the recurrent latent (`latent`) carries what is uncertain: what others will do, road
not seen yet.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from learned_sim_env.rendering.boxes import paint_boxes, paint_ego
from learned_sim_env.road import STATIONS
from learned_sim_env.spec import EGO_SIZE, Contract
from learned_sim_env.task import steering_term
from learned_sim_env.world_model.ego_path import ACTION_HISTORY, MOTION_HISTORY, MOTION_SCALE, SPEED_SCALE, EgoPath
from learned_sim_env.world_model.geometry import compose, points_from, relative, turn, view_points
from learned_sim_env.world_model.protocol import Observation, State
from learned_sim_env.world_model.rssm import agents as agents_module
from learned_sim_env.world_model.rssm.agent_motion import LOOK_AHEAD, AgentMotion
from learned_sim_env.world_model.rssm.births import Births, on_the_road
from learned_sim_env.world_model.rssm.config import SIZES, RSSMConfig
from learned_sim_env.world_model.rssm.detector import LAGS, Detector
from learned_sim_env.world_model.rssm.heads import OutcomeHeads
from learned_sim_env.world_model.rssm.landmarks import (
    FAR,
    OBSTACLES,
    find_obstacles,
    find_route_end,
    obstacle_gap,
    route_left,
)
from learned_sim_env.world_model.rssm.latent import Encoder, Latent
from learned_sim_env.world_model.rssm.map_decoder import MapDecoder
from learned_sim_env.world_model.rssm.map_memory import UNKNOWN, Exact, MapMemory
from learned_sim_env.world_model.rssm.roads import plan
from learned_sim_env.world_model.rssm.roads.grounding import options
from learned_sim_env.world_model.rssm.roads.library import RoadLibrary, Sizes
from learned_sim_env.world_model.rssm.roads.painting import RoadPainter
from learned_sim_env.world_model.rssm.route_finder import RouteFinder
from learned_sim_env.world_model.rssm.route_path import (
    HEADING_CHORDS,
    RoutePath,
    alongside,
    chain,
    seen_from,
    waypoints,
)
from learned_sim_env.world_model.rssm.surroundings import NEARBY, Surroundings

# Parts that never run in reduced precision: centimetres add up, or products are too small to gain from it.
EXACT = ("ego_path", "detector", "route_finder", "route_path", "births.common")
# Views kept for the detector.
VIEWS = max(LAGS)
# [steps] With pieces of road, as long ago as anything can have been real for the heads: they have learned up to there.
OLDEST = 300
# Network inputs about the ego and its route, see `DrivingRSSM.inputs`.
INPUTS = 7 + 2 * len(HEADING_CHORDS)


class DrivingRSSM(nn.Module):
    """See the module's docstring; the interface is `protocol.WorldModel`, with all optional extensions."""

    about = (
        "A world model of driving, seen from above: an RSSM whose state is factored into the ego's own motion, a "
        "remembered map, road users as boxes, and a recurrent latent."
    )
    config_class = RSSMConfig
    sizes: ClassVar[dict[str, RSSMConfig]] = SIZES
    observes = ("bev", "ego")
    draws = ("bev", "route")
    context_steps = 5

    def __init__(self, config: RSSMConfig, contract: Contract):
        super().__init__()
        self.config, self.contract = config, contract
        bev = contract.bev
        self.memory = MapMemory(bev, config.map_size)
        self.ego_path = EgoPath(contract.dt)
        self.agent_motion = AgentMotion(contract.dt, conflicts=config.conflicts)
        self.surroundings = Surroundings(config.surroundings)
        self.detector = Detector(bev, contract.dt)
        self.encoder = Encoder(bev, config.channels, config.embedding)
        self.route_finder = RouteFinder(bev)
        self.route_path = RoutePath()
        self.latent = Latent(INPUTS + 2 + 3, config.embedding, config.hidden, config.groups, config.classes)
        latent_size = config.hidden + self.latent.z_size
        self.ego_scale: Tensor
        scale = [1 / SPEED_SCALE, contract.dt / MOTION_SCALE[2], 1.0, 1.0, 0.2]
        self.register_buffer("ego_scale", torch.tensor(scale), persistent=False)
        self.latent_size = latent_size + INPUTS + 3 + 3 + 2 + 2 * config.surroundings + 1
        self.heads = OutcomeHeads(self.latent_size, config.head_hidden)
        self.births = Births(bev, config.hidden)
        self.decoder = MapDecoder(bev, latent_size, config.channels)
        self.roads = RoadLibrary(Sizes(*config.roads)) if config.roads else None
        self._painter: RoadPainter | None = None

    @property
    def static_graph(self) -> bool:
        """A model that is not being trained does the same at every step."""
        return not self.training

    @property
    def latent_groups(self) -> tuple[int, int]:
        """Categorical latents that z consists of, and classes of each."""
        return self.latent.groups, self.latent.classes

    @property
    def noise_size(self) -> int:
        """Uniforms that a row needs for a step: one each for categorical latents and agents, births, and the route."""
        return self.config.groups + self.config.slots + 2

    def in_bfloat16(self) -> DrivingRSSM:
        """A copy whose large matrix products run in bfloat16; states, and the ego's own motion, stay float32."""
        model = copy.deepcopy(self)
        for name, parameter in model.named_parameters():
            if not name.startswith(EXACT):
                parameter.data = parameter.data.bfloat16()
        return model

    def initial(self, batch_size: int) -> State:
        """The state before anything was seen."""
        device, c = self.ego_scale.device, self.config
        h, w = self.contract.bev.height, self.contract.bev.width

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(batch_size, *shape, dtype=dtype, device=device)

        cells, origin = self.memory.empty(batch_size, device)
        return {
            "h": zeros(c.hidden),
            "z": zeros(self.latent.z_size),
            "ego": zeros(6),
            "motions": zeros(MOTION_HISTORY, 3),
            "actions": zeros(ACTION_HISTORY, 2),
            "pose": zeros(3),
            "route": zeros(STATIONS + 1, 3),
            "route_end": zeros(3) + FAR,
            "obstacles": zeros(OBSTACLES, 2) + FAR,
            "inputs": zeros(INPUTS),
            "age": zeros(),
            "map": cells,
            "map_origin": origin,
            "views": zeros(VIEWS, h, w, dtype=torch.uint8),
            "view_pose": zeros(VIEWS, 3),
            "seen": zeros(dtype=torch.bool),
            "surroundings": zeros(2 * c.surroundings),
            **({} if self.roads is None else plan.empty(batch_size, device)),
            **agents_module.no_agents(batch_size, c.slots, device),
        }

    def observe(self, state: State, action: Tensor, observation: Observation, known: Tensor | None = None) -> State:
        """Posterior: `action` (B, 2) led from the last observation to this one.

        known: (H, W) bool, where the view is more than a guess, see `MapMemory.observe`; everywhere if None.
        """
        return self.observe_with_beliefs(state, action, observation, known=known)[0]

    def observe_with_beliefs(
        self,
        state: State,
        action: Tensor,
        observation: Observation,
        noise: Tensor | None = None,
        detect: bool = True,
        embedding: Tensor | None = None,
        known: Tensor | None = None,
    ) -> tuple[State, Tensor, Tensor]:
        """`observe`, and the probabilities of prior and posterior.

        `noise` (B, groups) samples z, None takes its mode; `embedding` (B, E), if at hand, spares encoding the view.
        """
        semantic, ego = observation["bev"], observation["ego"].float()
        seen = state["seen"]
        motions, actions = self.ego_path.observe(
            state["motions"], state["actions"], state["ego"][:, 0], action, ego, seen
        )
        motion = motions[:, -1]
        anchor = compose(state["pose"], torch.where(seen[:, None], motion, 0))
        cells, origin = self.memory.observe(
            state["map"], state["map_origin"], anchor, semantic, not self.training, known
        )
        views = torch.cat([state["views"][:, 1:], semantic[:, None]], 1)
        views = torch.where(seen[:, None, None, None], views, semantic[:, None])
        view_pose = relative(state["view_pose"], anchor[:, None])
        view_pose = torch.cat([view_pose[:, 1:], torch.zeros_like(view_pose[:, :1])], 1)
        view_pose = torch.where(seen[:, None, None], view_pose, 0)

        h = self.latent.advance(state["h"], state["z"], self.step_inputs(state["inputs"], action, motion))
        embedding = self.encoder(semantic) if embedding is None else embedding
        route = chain(self.route_finder(semantic, ego), ego)
        pose = torch.zeros_like(state["pose"])
        prior, posterior = self.latent.believed(self.latent.foresee(h)), self.latent.seen(h, embedding)
        new: State = {
            "h": h,
            "z": self.latent.sample(posterior, noise),
            "ego": ego,
            "motions": motions,
            "actions": actions,
            "pose": pose,
            "route": route,
            "route_end": find_route_end(semantic, route, self.contract.bev, self.contract.arrival_distance),
            "obstacles": find_obstacles(semantic, self.memory.points.to(semantic.device)),
            "inputs": self.inputs(ego, alongside(route, pose)[2]),
            "age": torch.zeros_like(state["age"]),
            "map": cells,
            "map_origin": origin,
            "views": views,
            "view_pose": view_pose,
            "seen": torch.ones_like(seen),
        }
        if self.roads is not None:
            new.update(plan.empty(len(h), h.device))
            new.update(options(self.roads, semantic, route, new["route_end"], self.contract.bev))
        new.update(
            self.detector.detect(semantic, state["views"], state["view_pose"], anchor, seen, self.config.slots)
            if detect
            else agents_module.no_agents(len(h), self.config.slots, h.device)
        )
        new["surroundings"] = self.around(new)
        return new, prior, posterior

    def imagine(self, state: State, action: Tensor, noise: Tensor | None, temperature: float = 1.0) -> State:
        """Prior, one clock step; `noise` (B, noise_size) in [0, 1), None takes the mode."""
        ego = state["ego"]
        # What else is trained must not pull at the path, nor at the agents' motion: they have losses of their own.
        alone = torch.is_grad_enabled() and not self.training
        with torch.set_grad_enabled(alone):
            motions, actions, speed = self.ego_path.imagine(state["motions"], state["actions"], ego[:, 0], action)
        motion = motions[:, -1]
        pose = compose(state["pose"], motion)
        h = self.latent.advance(state["h"], state["z"], self.step_inputs(state["inputs"], action, motion))
        uniforms, each, coming, leading = (None,) * 4 if noise is None else self._parted(noise)
        foreseen = self.latent.foresee(h)
        z = self.latent.sample(self.latent.believed(foreseen), uniforms, temperature)
        route = self.route_path.follow(state["route"], pose, leading)
        road: State = {"route": route}
        if self.roads is not None:
            road = plan.follow(self.roads, state, route, pose, leading if temperature > 0 else None)
            route = road["route"]
        offset, error, ahead = alongside(route, pose)
        turning = motion[:, 2] / self.contract.dt
        ego = torch.cat([torch.stack([speed, turning], -1), action, torch.stack([offset, error], -1)], -1)
        new = {
            **state,
            "h": h,
            "z": z,
            "ego": ego,
            "motions": motions,
            "actions": actions,
            "pose": pose,
            **road,
            "inputs": self.inputs(ego, ahead),
            "age": state["age"] + 1,
        }
        agents = {key: state[key] for key in agents_module.KEYS}
        agents["agent_pose"] = relative(state["agent_pose"], motion[:, None])
        born = None
        if coming is not None and temperature > 0 and not self.training:
            born = self.births(foreseen, coming)
        # The map is read once, for everything that needs it.
        wanted = [self.agent_motion.places(agents["agent_pose"]), self.surroundings.points.expand(len(h), -1, -1)]
        if born:
            wanted.append(born.pose[:, None, :2])
        points = points_from(torch.cat(wanted, 1), pose)
        ids = self._ids_seen(new, points, state["pose"])
        ahead, ids = ids.tensor_split([len(LOOK_AHEAD) * self.config.slots], 1)
        # Trained where they do what is likeliest: what follows for the ego is compared with what truly followed.
        by_chance = None if self.training else each
        with torch.set_grad_enabled(alone):
            driven = torch.stack([motions[:, 0, 0] / self.contract.dt, speed, turning], 1)
            along = None if self.training else seen_from(route, pose)
            moved = self.agent_motion(*agents.values(), driven, ahead, by_chance, temperature, along)
        agents["agent_pose"], agents["agent_motion"] = moved
        agents["agent_class"] = agents_module.forget_far(agents["agent_class"], agents["agent_pose"])
        if born:
            born = on_the_road(born, ids[:, -1], route, points[:, -1], pose[:, 2])
            agents = agents_module.appear(agents, *born)
        new.update(agents)
        new["surroundings"] = self.surroundings(ids[:, : len(NEARBY)], agents, obstacle_gap(state["obstacles"], pose))
        return new

    def at(self, state: State, pose: Tensor) -> State:
        """The same state, but with the ego at `pose` (B, 3) in the frame of the last real observation."""
        offset, error, ahead = alongside(state["route"], pose)
        ego = torch.cat([state["ego"][:, :4], torch.stack([offset, error], -1)], -1)
        agents = compose(relative(state["pose"], pose)[:, None], state["agent_pose"])
        new = {**state, "pose": pose, "ego": ego, "inputs": self.inputs(ego, ahead), "agent_pose": agents}
        return {**new, "surroundings": self.around(new, state["pose"])}

    def features(self, state: State) -> Tensor:
        """(B, latent_size) float32: recurrent state, latents, ego and route, last motion, its change and the action's,
        nearby map and agents, and how long ago anything was real.
        """
        motions, actions = state["motions"][:, -2:] / self.ego_path.scale, state["actions"][:, -2:]
        age = state["age"] if self.roads is None else state["age"].clamp_max(OLDEST)
        return torch.cat(
            [
                state["h"],
                state["z"],
                state["inputs"],
                motions[:, 1],
                (motions[:, 1] - motions[:, 0]) * 10,
                actions[:, 1] - actions[:, 0],
                state["surroundings"],
                torch.log1p(age)[:, None] / 3,
            ],
            -1,
        )

    def decode(self, state: State) -> dict[str, Tensor]:
        """Ego vector, motion, reward terms, events' probabilities, uncertainty, and the features behind them."""
        features = self.features(state)
        terms, events, doubt = self.heads(features)
        steer = state["actions"][:, -2:, :1]
        steering = steering_term(steer[:, 1] - steer[:, 0], self.contract.reward)
        return {
            "ego": state["ego"],
            "motion": state["motions"][:, -1],
            "terms": torch.cat([self.heads.expected_terms(terms), steering], -1),
            "events": self.heads.probabilities(
                events,
                state["surroundings"][:, -1],
                route_left(state["route_end"], state["pose"]),
                self.contract.arrival_distance,
            ),
            "uncertainty": self.heads.uncertainty(doubt),
            "features": features,
        }

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

    def step_inputs(self, inputs: Tensor, action: Tensor, motion: Tensor) -> Tensor:
        """The latent's inputs for a step: `inputs` before it, the action (B, 2), the motion (B, 3)."""
        return torch.cat([inputs, action, motion / self.ego_path.scale], -1)

    def inputs(self, ego: Tensor, ahead: Tensor) -> Tensor:
        """The ego vector (B, 6) and the route's headings ahead (B, len(HEADING_CHORDS)) as network inputs (B, INPUTS).

        Angles by cosine and sine.
        """
        angles = turn(torch.cat([ego[:, 5:], ahead], -1))
        # Not as `view_as_real`, which has no gradient in a batch of one row, behind five numbers.
        parts = torch.stack([angles.real, angles.imag], -1)
        return torch.cat([ego[:, :5] * self.ego_scale, parts.flatten(1)], -1)

    def _parted(self, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noise (B, noise_size) for latents (B, groups), agents (B, slots), births (B,) and the route (B,)."""
        latents, agents, others = noise.split([self.config.groups, self.config.slots, 2], 1)
        return latents, agents, others[:, 0], others[:, 1]

    def around(self, state: State, before: Tensor | None = None) -> Tensor:
        """(B, 2 * surroundings): the observed map around the ego, and the agents and obstacles there.

        before: (B, 3) the ego's pose in the last state that could be drawn; that of `state` if None.
        """
        pose = state["pose"]
        ids = self._ids_seen(state, points_from(self.surroundings.points, pose), pose if before is None else before)
        return self.surroundings(ids, state, obstacle_gap(state["obstacles"], pose))

    def _ids_seen(self, state: State, points: Tensor, before: Tensor) -> Tensor:
        # Only what was observed, and as if the state at `before` had been drawn, which moves the map's window: nothing
        # must depend on what was drawn.
        return self.memory.read(state["map"], state["map_origin"], points, True, followed=before)
