"""The driving world model: a recurrent state-space model whose state is factored by what the world is made of.

The ego's own motion has an exact residual path (`ego_path`); what stands still is a remembered map moved rigidly by
that motion (`map_memory`, `map_decoder`); road users are boxes with motion of their own (`agents`, `detector`); the
recurrent latent (`latent`) carries what is uncertain: what others will do, road not seen yet, where the route leads.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from learned_sim_env.rendering.boxes import paint_boxes, paint_ego
from learned_sim_env.spec import Contract, SemanticClass
from learned_sim_env.world_model import agents as agents_module
from learned_sim_env.world_model.agents import AgentMotion, AgentSummary
from learned_sim_env.world_model.config import RSSMConfig
from learned_sim_env.world_model.detector import LAGS, SIZE_SCALE, Detector
from learned_sim_env.world_model.ego_path import ACTION_HISTORY, MOTION_HISTORY, MOTION_SCALE, SPEED_SCALE, EgoPath
from learned_sim_env.world_model.geometry import compose, points_from, relative
from learned_sim_env.world_model.heads import BIRTH_GRID, BirthHead, OutcomeHeads, RouteHead, route_features
from learned_sim_env.world_model.latent import Encoder, Ensemble, Latent
from learned_sim_env.world_model.layers import one_hot
from learned_sim_env.world_model.map_decoder import MapDecoder
from learned_sim_env.world_model.map_memory import UNKNOWN, MapMemory
from learned_sim_env.world_model.protocol import Observation, State

# Parts that never run in reduced precision: centimetres add up.
EXACT = ("ego_path", "detector")
# Places around the ego whose remembered class decides what happens next, ego frame [m].
NEARBY = [(-3.0 + 1.5 * i, -4.5 + 1.5 * j) for i in range(9) for j in range(7)]
# [m] of the ego drawn in the dream; the size of MetaDrive's default vehicle.
EGO_SIZE = (4.515, 1.852)
# [m] An agent that comes into view keeps this distance from the others.
APART = 5.0
# Rows drawn at a time: what they need stays in the processor's cache.
DRAW_ROWS = 64
# Views kept for the detector.
VIEWS = max(LAGS)


class DrivingRSSM(nn.Module):
    """See the module's docstring; the interface is `protocol.WorldModel`."""

    def __init__(self, config: RSSMConfig, contract: Contract):
        super().__init__()
        self.config, self.contract = config, contract
        bev = contract.bev
        self.memory = MapMemory(bev, config.map_size)
        self.ego_path = EgoPath(contract.dt)
        self.agent_motion = AgentMotion(contract.dt)
        self.agent_summary = AgentSummary(config.surroundings)
        self.detector = Detector(bev)
        self.encoder = Encoder(bev, config.channels, config.embedding)
        self.latent = Latent(2 + 7 + 3, config.embedding, config.hidden, config.groups, config.classes)
        latent_size = config.hidden + self.latent.z_size
        self.nearby = nn.Linear(len(NEARBY) * (UNKNOWN + 1), config.surroundings)
        self.nearby_points: Tensor
        self.register_buffer("nearby_points", torch.tensor(NEARBY), persistent=False)
        self.latent_size = latent_size + 7 + 3 + 2 * config.surroundings
        self.heads = OutcomeHeads(self.latent_size, config.head_hidden)
        self.route = RouteHead(latent_size + 3, config.head_hidden)
        self.births = BirthHead(bev, latent_size, config.head_hidden)
        self.decoder = MapDecoder(bev, latent_size, config.channels)
        self.ensemble = Ensemble(config.hidden, config.embedding, config.ensemble)

    @property
    def noise_size(self) -> int:
        """Uniforms a row needs a step: one a categorical latent, and one for who comes into view."""
        return self.config.groups + 1

    def in_bfloat16(self) -> DrivingRSSM:
        """A copy whose large matrix products run in bfloat16; states, and the ego's own motion, stay float32."""
        model = copy.deepcopy(self)
        for name, module in model.named_children():
            if name not in EXACT:
                module.bfloat16()
        return model

    def initial(self, batch_size: int) -> State:
        """The state before anything was seen."""
        device, c = self.nearby_points.device, self.config
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
            "map": cells,
            "map_origin": origin,
            "views": zeros(VIEWS, h, w, dtype=torch.uint8),
            "view_pose": zeros(VIEWS, 3),
            "seen": zeros(dtype=torch.bool),
            "surroundings": zeros(2 * c.surroundings),
            **self._no_agents(batch_size, device),
        }

    def observe(self, state: State, action: Tensor, observation: Observation) -> State:
        """Posterior: `action` (B, 2) led from the last observation to this one."""
        return self.observe_with_logits(state, action, observation)[0]

    def observe_with_logits(
        self,
        state: State,
        action: Tensor,
        observation: Observation,
        noise: Tensor | None = None,
        detect: bool = True,
        embedding: Tensor | None = None,
    ) -> tuple[State, Tensor, Tensor]:
        """`observe`, and the logits of prior and posterior.

        `noise` (B, groups) samples z, None takes its mode; `embedding` (B, E), if at hand, spares encoding the view.
        """
        semantic, ego = observation["semantic"], observation["ego"].float()
        seen = state["seen"]
        motions, actions = self.ego_path.observe(
            state["motions"], state["actions"], state["ego"][:, 0], action, ego, seen
        )
        motion = motions[:, -1]
        anchor = compose(state["pose"], torch.where(seen[:, None], motion, 0))
        cells, origin = self.memory.observe(state["map"], state["map_origin"], anchor, semantic)
        views = torch.cat([state["views"][:, 1:], semantic[:, None]], 1)
        views = torch.where(seen[:, None, None, None], views, semantic[:, None])
        view_pose = relative(state["view_pose"], anchor[:, None])
        view_pose = torch.cat([view_pose[:, 1:], torch.zeros_like(view_pose[:, :1])], 1)
        view_pose = torch.where(seen[:, None, None], view_pose, 0)

        h = self.latent.advance(state["h"], state["z"], self.step_inputs(state["ego"], action, motion))
        embedding = self.encoder(semantic) if embedding is None else embedding
        prior, posterior = self.latent.prior_logits(h), self.latent.posterior_logits(h, embedding)
        new: State = {
            "h": h,
            "z": self.latent.sample(posterior, noise),
            "ego": ego,
            "motions": motions,
            "actions": actions,
            "pose": torch.zeros_like(state["pose"]),
            "map": cells,
            "map_origin": origin,
            "views": views,
            "view_pose": view_pose,
            "seen": torch.ones_like(seen),
        }
        new.update(self._detect(state, semantic, anchor) if detect else self._no_agents(len(h), h.device))
        new["surroundings"] = self.surroundings(new)
        return new, prior, posterior

    def imagine(self, state: State, action: Tensor, noise: Tensor | None, temperature: float = 1.0) -> State:
        """Prior, one clock step; `noise` (B, noise_size) in [0, 1), None takes the mode."""
        ego = state["ego"]
        # What else is trained must not pull at the path: it has a loss of its own.
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.training):
            motions, actions, speed = self.ego_path.imagine(state["motions"], state["actions"], ego[:, 0], action)
        motion = motions[:, -1]
        pose = compose(state["pose"], motion)
        h = self.latent.advance(state["h"], state["z"], self.step_inputs(ego, action, motion))
        uniforms = None if noise is None else noise[:, : self.config.groups]
        z = self.latent.sample(self.latent.prior_logits(h), uniforms, temperature)
        new = {
            **state,
            "h": h,
            "z": z,
            "motions": motions,
            "actions": actions,
            "pose": pose,
        }
        route = self.route(torch.cat([h, z], -1), ego[:, 4:6], motion)
        new["ego"] = torch.cat([speed[:, None], motion[:, 2:] / self.contract.dt, action, route], -1)
        new.update(self.move_agents(state, pose, speed))
        if noise is not None and temperature > 0 and not self.training:
            new.update(self._appear(new, noise[:, self.config.groups]))
        new["surroundings"] = self.surroundings(new)
        return new

    def move_agents(self, state: State, ego_pose: Tensor, ego_speed: Tensor) -> State:
        """The agents of `state` a step later, `ego_pose` (B, 3) and `ego_speed` (B,) being the ego's then."""
        pose = state["agent_pose"]
        ids = self.memory.read(state["map"], state["map_origin"], self.agent_motion.places(pose), seen_only=True)
        pose, motion = self.agent_motion(
            pose, state["agent_motion"], state["agent_size"], state["agent_class"], ego_pose, ego_speed, ids
        )
        classes = agents_module.forget_far(state["agent_class"], pose, ego_pose)
        return {"agent_pose": pose, "agent_motion": motion, "agent_class": classes}

    def features(self, state: State) -> Tensor:
        """(B, latent_size) float32: recurrent state, latents, ego, last motion, nearby map and agents."""
        return torch.cat(
            [
                state["h"],
                state["z"],
                self._ego_inputs(state["ego"]),
                state["motions"][:, -1] / self.ego_path.scale,
                state["surroundings"],
            ],
            -1,
        )

    def decode(self, state: State) -> dict[str, Tensor]:
        """Ego vector, motion, graded reward terms and probabilities of events."""
        terms, events = self.heads(self.features(state))
        return {
            "ego": state["ego"],
            "motion": state["motions"][:, -1],
            "terms": self.heads.expected_terms(terms),
            "events": events.sigmoid(),
        }

    def draw(self, state: State) -> tuple[Tensor, State]:
        """The view (B, H, W) uint8, and the state in which newly imagined map is remembered."""
        parts = [
            self._draw_rows({k: v[i : i + DRAW_ROWS] for k, v in state.items()})
            for i in range(0, len(state["pose"]), DRAW_ROWS)
        ]
        ids, cells, origin = (torch.cat(part) for part in zip(*parts))
        return self._paint(ids, state), {**state, "map": cells, "map_origin": origin}

    def _draw_rows(self, state: State) -> tuple[Tensor, Tensor, Tensor]:
        """What stands still in the view, and the map and its origin afterwards."""
        cells, origin = self.memory.follow(state["map"], state["map_origin"], state["pose"])
        latent = torch.cat([state["h"], state["z"]], -1)
        view = self.memory.complete_view(cells, origin, state["pose"], lambda known: self.decoder.fill(latent, known))
        return view, cells, origin

    def uncertainty(self, state: State) -> Tensor:
        """(B,) float32: disagreement of the ensemble about what is to be seen in `state`."""
        return self.ensemble.disagreement(state["h"])

    def _paint(self, ids: Tensor, state: State) -> Tensor:
        """Agents and ego over the map, by the code that paints simulators' scenes."""
        image = ids.cpu().numpy()
        there = state["agent_class"] > 0
        row, _ = there.nonzero(as_tuple=True)
        poses = relative(state["agent_pose"], state["pose"][:, None])[there]
        paint_boxes(
            image,
            row.cpu().numpy(),
            poses.float().cpu().numpy(),
            state["agent_size"][there].cpu().numpy(),
            state["agent_class"][there].cpu().numpy(),
            self.contract.bev,
        )
        paint_ego(image, *EGO_SIZE, self.contract.bev)
        return torch.from_numpy(image).to(ids.device)

    def step_inputs(self, ego: Tensor, action: Tensor, motion: Tensor) -> Tensor:
        """What the latent is told of a step (B, 12): the ego (B, 6) before it, the action (B, 2), the motion (B, 3)."""
        return torch.cat([self._ego_inputs(ego), action, motion / self.ego_path.scale], -1)

    def _ego_inputs(self, ego: Tensor) -> Tensor:
        """The ego vector (B, 6) as network inputs (B, 7)."""
        return torch.cat(
            [
                ego[:, :1] / SPEED_SCALE,
                ego[:, 1:2] * self.contract.dt / MOTION_SCALE[2],
                ego[:, 2:4],
                route_features(ego[:, 4:6]),
            ],
            -1,
        )

    def surroundings(self, state: State) -> Tensor:
        """(B, 2 * surroundings): what was seen of the map around the ego, and the agents around it."""
        points = points_from(self.nearby_points.expand(len(state["pose"]), -1, -1), state["pose"])
        # Only what was seen: the latent must not depend on whether anybody looked at what was imagined.
        ids = self.memory.read(state["map"], state["map_origin"], points, seen_only=True)
        near = self.nearby(one_hot(ids, UNKNOWN + 1, self.nearby.weight.dtype).flatten(1))
        around = self.agent_summary(
            *(state[k] for k in ("agent_pose", "agent_motion", "agent_size", "agent_class", "pose"))
        )
        return torch.cat([torch.nn.functional.silu(near), around], -1).float()

    def _detect(self, state: State, semantic: Tensor, anchor: Tensor) -> State:
        earlier = torch.stack([state["views"][:, -lag] for lag in LAGS], 1)
        pose = torch.stack([state["view_pose"][:, -lag] for lag in LAGS], 1)
        seen = state["seen"]
        earlier = torch.where(seen[:, None, None, None], earlier, semantic[:, None])
        pose = torch.where(seen[:, None, None], relative(pose, anchor[:, None]), 0)
        return self.detector.boxes(self.detector(semantic, earlier, pose), semantic, self.config.slots)

    def _appear(self, state: State, uniform: Tensor) -> State:
        """At most one agent that comes into view in a step, in the first empty slot."""
        latent = torch.cat([state["h"], state["z"]], -1)
        probabilities = self.births.where(latent).float().softmax(-1)
        choice = (probabilities.cumsum(-1) < uniform[:, None]).sum(-1)
        cell = choice.clamp_max(BIRTH_GRID**2 - 1)
        found = self.births.attributes(latent, cell)
        place = self.births.place(cell) + found[:, :2].clamp(-0.5, 0.5) * self.births.cell
        pose = compose(state["pose"], torch.cat([place, torch.atan2(found[:, 3:4], found[:, 2:3])], -1))
        speed = (found[:, 4:5] * 10).clamp_min(0)
        size = found[:, 5:7].clamp(-1, 1.2).exp() * found.new_tensor(SIZE_SCALE)
        # Nobody appears inside another.
        there = state["agent_class"] > 0
        near = ((state["agent_pose"][..., :2] - pose[:, None, :2]) ** 2).sum(-1) < APART**2
        appears = (choice < BIRTH_GRID**2) & ~(near & there).any(-1)
        first = torch.nn.functional.one_hot((~there).float().argmax(-1), self.config.slots).bool()
        slot = first & ~there & appears[:, None]
        motion = torch.cat([speed, torch.zeros_like(speed)], -1)
        return {
            "agent_pose": torch.where(slot[..., None], pose[:, None], state["agent_pose"]),
            "agent_motion": torch.where(slot[..., None], motion[:, None], state["agent_motion"]),
            "agent_size": torch.where(slot[..., None], size[:, None], state["agent_size"]),
            "agent_class": state["agent_class"].masked_fill(slot, int(SemanticClass.VEHICLE)),
        }

    def _no_agents(self, batch_size: int, device: torch.device) -> State:
        k = self.config.slots
        return {
            "agent_pose": torch.zeros(batch_size, k, 3, device=device),
            "agent_motion": torch.zeros(batch_size, k, 2, device=device),
            "agent_size": torch.ones(batch_size, k, 2, device=device),
            "agent_class": torch.zeros(batch_size, k, dtype=torch.uint8, device=device),
        }
