"""The driving world model: a recurrent state-space model whose state is factored by what the world is made of.

The ego's own motion has an exact residual path (`ego_path`); what stands still is a remembered map moved rigidly by
that motion (`map`); the route is a chain of stations on the ground, its end and what stands in the way are places
there (`route`); other road users are boxes with motion of their own (`agents`); the recurrent latent (`latent`) carries
what is uncertain: what others will do, road not seen yet.
"""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import Tensor

from learned_sim_env.task import steering_term
from learned_sim_env.world_model.geometry import compose, points_from, relative
from learned_sim_env.world_model.protocol import Observation, State
from learned_sim_env.world_model.rssm.agents import boxes
from learned_sim_env.world_model.rssm.agents.births import Born, on_the_road
from learned_sim_env.world_model.rssm.config import SIZES, RSSMConfig
from learned_sim_env.world_model.rssm.drawing import Drawing
from learned_sim_env.world_model.rssm.map.memory import UNKNOWN
from learned_sim_env.world_model.rssm.roads import plan, surface
from learned_sim_env.world_model.rssm.roads.grounding import options
from learned_sim_env.world_model.rssm.route.landmarks import find_obstacles, find_route_end, route_left
from learned_sim_env.world_model.rssm.route.path import alongside, beside, chain, seen_from

# Parts that never run in reduced precision: centimetres add up, or products are too small to gain from it.
EXACT = ("ego_path", "detector", "route_finder", "route_path", "births.common")
# [steps] With pieces of road, as long ago as anything can have been real for the heads: they have learned up to there.
OLDEST = 300


class DrivingRSSM(Drawing):
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

    def in_bfloat16(self) -> DrivingRSSM:
        """A copy whose large matrix products run in bfloat16; states, and the ego's own motion, stay float32."""
        model = copy.deepcopy(self)
        for name, parameter in model.named_parameters():
            if not name.startswith(EXACT):
                parameter.data = parameter.data.bfloat16()
        return model

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
            else boxes.no_agents(len(h), self.config.slots, h.device)
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
        agents = {key: state[key] for key in boxes.KEYS}
        agents["agent_pose"] = relative(state["agent_pose"], motion[:, None])
        ahead = self._ahead_of(agents, new, state["pose"])
        # Trained where they do what is likeliest: what follows for the ego is compared with what truly followed.
        by_chance = None if self.training else each
        with torch.set_grad_enabled(alone):
            driven = torch.stack([motions[:, 0, 0] / self.contract.dt, speed, turning], 1)
            along = None if self.training else seen_from(route, pose)
            moved = self.agent_motion(*agents.values(), driven, ahead, by_chance, temperature, along)
        agents["agent_pose"], agents["agent_motion"] = moved
        agents["agent_class"] = boxes.forget_far(agents["agent_class"], agents["agent_pose"])
        if coming is not None and temperature > 0 and not self.training:
            agents = boxes.appear(agents, *self._on_the_road(self.births(foreseen, coming), new, state["pose"]))
        new.update(agents)
        new["surroundings"] = self.around(new, state["pose"])
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
        nearby map and agents, who is next to the ego, and how long ago anything was real.
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

    def _ahead_of(self, agents: State, state: State, before: Tensor) -> Tensor:
        """(B, slots * P) uint8: the map of a `state` ahead of agents, see `AgentMotion`; before: as for `around`."""
        there = (agents["agent_class"] > 0).flatten().nonzero()[:, 0]
        rows = there // self.config.slots
        # Nothing is looked up for empty slots, which are most.
        places = self.agent_motion.places(agents["agent_pose"].flatten(0, 1).index_select(0, there)[:, None])
        ids = self._ids_seen(state, points_from(places, state["pose"].index_select(0, rows)), before, rows)
        nothing = ids.new_full((agents["agent_class"].numel(), ids.shape[1]), UNKNOWN)
        return nothing.index_copy(0, there, ids).view(len(before), -1)

    def _on_the_road(self, born: Born, state: State, before: Tensor) -> Born:
        """See `births.on_the_road`, in a `state`; before: as for `around`."""
        pieces = self.roads if self.births.tries > 1 else None
        # Of the few rows in which one may come.
        names = ("pose", "route", *(() if pieces is None else surface.NEEDED))
        some = {name: state[name].index_select(0, born.rows) for name in names}
        looked = self.births.looked_at(born)
        places = points_from(looked.flatten(1, 2), some["pose"])
        ids, laid = self._ids_seen(state, places, before, born.rows).view(looked.shape[:-1]), None
        if pieces is not None:
            by = beside(some["route"], places)
            laid = surface.laid(pieces, some, by.arc, by.across).view(looked.shape[:-1])
        where = places.view(looked.shape)[:, :, 0]
        return on_the_road(born, ids, some["route"], where, some["pose"][:, 2], laid)

    def _parted(self, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noise (B, noise_size) for latents (B, groups), agents (B, slots), births (B,) and the route (B,)."""
        latents, agents, others = noise.split([self.config.groups, self.config.slots, 2], 1)
        return latents, agents, others[:, 0], others[:, 1]
