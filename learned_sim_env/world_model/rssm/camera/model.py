"""The world model that sees and paints camera pictures, around a state that is a bird's-eye view's.

What cameras show becomes a view from above (`perception`), which the state of `rssm` takes in; from that state's map
and agents, and from pictures that are remembered (`keyframe`), pictures are painted (`painter`). All cameras see and
show the same state, so that they agree.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_sim_env.spec import Contract, SemanticClass
from learned_sim_env.world_model.geometry import compose, relative
from learned_sim_env.world_model.protocol import Observation, State
from learned_sim_env.world_model.rssm.agents import KEYS
from learned_sim_env.world_model.rssm.camera.config import SIZES, CameraConfig
from learned_sim_env.world_model.rssm.camera.ground_look import ground_look
from learned_sim_env.world_model.rssm.camera.keyframe import Hypotheses, Keyframe, remembered
from learned_sim_env.world_model.rssm.camera.look import Look
from learned_sim_env.world_model.rssm.camera.painter import Painter, told
from learned_sim_env.world_model.rssm.camera.perception import Percept, Perception
from learned_sim_env.world_model.rssm.camera.rig import Rig
from learned_sim_env.world_model.rssm.camera.scenery_births import UNIFORMS, SceneryBirths
from learned_sim_env.world_model.rssm.camera.scenery_finder import Found
from learned_sim_env.world_model.rssm.camera.shader import is_solid
from learned_sim_env.world_model.rssm.camera.things import (
    Hits,
    Things,
    agents_as_things,
    before,
    cast,
    joined,
    scenery_as_things,
)
from learned_sim_env.world_model.rssm.camera.true_scene import placed
from learned_sim_env.world_model.rssm.landmarks import FAR as NONE
from learned_sim_env.world_model.rssm.landmarks import OBSTACLES
from learned_sim_env.world_model.rssm.model import DrivingRSSM

# [m] Side of the boxes that stand for obstacles, of which only places are remembered, see `rssm.landmarks`.
OBSTACLE_SIZE = 0.6
# Scenery is the same where it is found within so many metres of where it was, and so much of its distance.
SAME, SAME_SHARE = 1.0, 0.1


class CameraWorldModel(nn.Module):
    """See the module's docstring; the interface is `protocol.WorldModel`, and what the RSSM's can do beside.

    A state is that of `DrivingRSSM`, and of what stands beside the road `scenery_pose` (B, S, 3) in the frame of the
    last real observation, `scenery_size` (B, S, 3) length, width, height [m], `scenery_kind` (B, S) uint8
    `SceneryKind`, 0 for an empty slot, and `scenery_score` (B, S), how sure it is; what `scenery_births` keeps, and
    `scenery_due` (B,) bool, whether that is still to come. `agent_colour` (B, K, 4), `scenery_colour` (B, S, 4): mean
    colours from 0 to 1 as last shown, and 1 where one is known. Named `key_*`, the keyframe (see `Keyframe`;
    `key_agent_pose` and `key_agent_class` are of the agents that move); `key_now` (B,) bool, whether it shows the
    present moment; `real`, the upper part of the last real pictures, and `look` (B, look), how the world looks in them.
    """

    about = (
        "A world model of driving that is shown cameras: perception by geometry into a bird's-eye state, an RSSM that "
        "imagines it, and a painter that draws cameras from it."
    )
    config_class = CameraConfig
    sizes: ClassVar[dict[str, CameraConfig]] = SIZES
    context_steps = 5

    def __init__(self, config: CameraConfig, contract: Contract):
        super().__init__()
        self.config, self.contract = config, contract
        specs = [contract.modality(name).camera for name in config.cameras]
        cameras = [spec for spec in specs if spec is not None]
        if len(cameras) < len(specs):
            raise ValueError(f"some of {', '.join(config.cameras)} are no cameras in the contract {contract.name!r}")
        self.rssm = DrivingRSSM(config, contract)
        self.rig = Rig(cameras)
        self.perception = Perception(cameras, contract.bev, config.seeing)
        self.births = SceneryBirths(contract.bev, config.map_size)
        self.look = Look(len(cameras), config.look)
        self.hypotheses = Hypotheses(self.rig)
        fine, coarse = config.painting
        self.painter = Painter(self.rig, config.look, (fine, coarse))
        for module in (*self.perception.modules(), *self.painting_parts().modules()):
            # What a CPU is fastest with, but for what comes in otherwise and is large.
            if isinstance(module, nn.Conv2d) and module is not self.painter.inward:
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)

    def painting_parts(self) -> nn.ModuleDict:
        """What pictures are painted with, as far as it is learned."""
        return nn.ModuleDict({"look": self.look, "painter": self.painter})

    @property
    def observes(self) -> tuple[str, ...]:
        """The cameras, the ego vector, and the route, which no camera shows."""
        return (*self.config.cameras, "ego", "route")

    @property
    def draws(self) -> tuple[str, ...]:
        """The cameras, and what the state is beside."""
        return (*self.config.cameras, *self.rssm.draws)

    @property
    def latent_size(self) -> int:
        """Width of `features`."""
        return self.rssm.latent_size

    @property
    def latent_groups(self) -> tuple[int, int]:
        """See `protocol.LatentModel`."""
        return self.rssm.latent_groups

    @property
    def noise_size(self) -> int:
        """Uniforms that a row needs for a step."""
        return self.rssm.noise_size + UNIFORMS

    @property
    def static_graph(self) -> bool:
        """As of the RSSM: `imagine` and `decode` are its own."""
        return self.rssm.static_graph

    def in_bfloat16(self) -> CameraWorldModel:
        """A copy whose large products run in bfloat16."""
        model = copy.deepcopy(self)
        model.rssm = model.rssm.in_bfloat16()
        for part in (model.perception, model.painting_parts()):
            for parameter in part.parameters():
                parameter.data = parameter.data.bfloat16()
        return model

    def stored_weights(self) -> dict[str, Tensor]:
        """The state dict as a checkpoint keeps it: what sees and paints in float16, which is half the size, and the
        state that is seen and painted as it was.
        """
        return {
            name: value.half() if value.dtype == torch.float32 and not name.startswith("rssm.") else value
            for name, value in self.state_dict().items()
        }

    def initial(self, batch_size: int) -> State:
        """The state before anything was seen."""
        state, rig = self.rssm.initial(batch_size), self.rig
        new, slots, beside = state["h"].new_zeros, self.config.slots, self.config.scenery_slots
        cameras = (batch_size, len(rig.cameras))
        return {
            **state,
            **self.births.initial(state["pose"]),
            "scenery_pose": new(batch_size, beside, 3),
            "scenery_size": new(batch_size, beside, 3),
            "scenery_kind": new(batch_size, beside, dtype=torch.uint8),
            "scenery_colour": new(batch_size, beside, 4),
            "scenery_score": new(batch_size, beside),
            "scenery_due": new(batch_size, dtype=torch.bool),
            "agent_colour": new(batch_size, slots, 4),
            "real": new(*cameras, rig.skyline, rig.width, 4, dtype=torch.uint8),
            "look": new(batch_size, self.look.size),
            "key_pictures": new(*cameras, rig.height, rig.width, 4, dtype=torch.uint8),
            "key_pose": new(batch_size, 3),
            "key_agent_pose": new(batch_size, slots, 3),
            "key_agent_class": new(batch_size, slots, dtype=torch.uint8),
            "key_generation": new(batch_size),
            "key_now": new(batch_size, dtype=torch.bool),
        }

    def observe(self, state: State, action: Tensor, observation: Observation) -> State:
        """Posterior: `action` (B, 2) led from the last observation to this one, of `observes`."""
        pictures = torch.stack([observation[name] for name in self.config.cameras], 1)
        route = observation["route"].float()
        rows = list(zip(pictures.split(_size(route)), route.split(_size(route)), strict=True))
        percepts = [self.perception(*row) for row in rows]
        view = self.with_ego(torch.cat([percept.view() for percept in percepts]))
        given = {"bev": view, "ego": observation["ego"]}
        new = {**state, **self.rssm.observe(state, action, given, self.perception.seen)}
        moved = torch.where(state["seen"][:, None], new["motions"][:, -1], 0)
        anchor = compose(state["pose"], moved)
        new.update(self.births.initial(new["pose"]))
        new.update(
            self._scenery(state, anchor, percepts),
            look=torch.cat([self.look(row) for row, _ in rows]),
            agent_colour=torch.zeros_like(state["agent_colour"]),
            scenery_due=torch.zeros_like(state["scenery_due"]),
            key_generation=torch.zeros_like(state["key_generation"]),
        )
        parts = [self._kept(row, seen) for row, (seen, _) in zip(_parted(new), rows, strict=True)]
        new.update({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
        return {**new, "real": new["key_pictures"][:, :, : self.rig.skyline].clone()}

    def imagine(self, state: State, action: Tensor, noise: Tensor | None, temperature: float = 1.0) -> State:
        """Prior, one clock step; see `DrivingRSSM.imagine`."""
        some, more = (None, None) if noise is None else noise.split([self.rssm.noise_size, UNIFORMS], 1)
        new = self.rssm.imagine(state, action, some, temperature)
        # An agent keeps its size: another one has come into a slot where that changes.
        same = (new["agent_class"] > 0) & (new["agent_size"] == state["agent_size"]).all(-1)
        return {
            **new,
            "agent_colour": state["agent_colour"] * same[..., None],
            "key_agent_class": state["key_agent_class"] * same,
            "scenery_chance": self.births.chance(more, temperature, state["h"]),
            **_moved(state),
        }

    def at(self, state: State, pose: Tensor) -> State:
        """The same state, but with the ego at `pose` (B, 3) in the frame of the last real observation."""
        return {**self.rssm.at(state, pose), **_moved(state)}

    def features(self, state: State) -> Tensor:
        """(B, latent_size) float32."""
        return self.rssm.features(state)

    def decode(self, state: State) -> dict[str, Tensor]:
        """The heads of the RSSM."""
        return self.rssm.decode(state)

    def seen_places(self, state: State) -> Tensor:
        """(B, H, W) bool: where the map under the view was really seen."""
        return self.rssm.seen_places(state)

    def draw(self, state: State, names: Sequence[str]) -> tuple[Observation, State]:
        """Pictures (B, H, W, 3) uint8 and what else is asked for, and the state that remembers what was new in them."""
        cameras = self.config.cameras
        wanted = [name for name in names if name in cameras]
        # Pictures show the map, which has to be imagined first where it isn't known.
        others = [name for name in names if name not in cameras]
        drawn, state = self.rssm.draw(state, [*others, *(["bev"] if wanted and "bev" not in others else [])])
        drawn = {name: drawn[name] for name in others}
        if wanted:
            # What comes into reach stands at roads, which are known now.
            state = self._with_births(state)
            rows = [self._painted(row) for row in _parted(state)]
            pictures = torch.cat([row for row, _ in rows])
            state = {name: torch.cat([row[name] for _, row in rows]) for name in state}
            drawn.update({name: pictures[:, cameras.index(name)] for name in wanted})
        return drawn, state

    def _with_births(self, state: State) -> State:
        """A state with the scenery that has come into reach, once for each time that the ego has moved."""
        due = state["scenery_due"]
        if not due.any():
            return state
        come = self.births(state)
        come["scenery_score"] = (come["scenery_kind"] > 0).float()
        come = {name: torch.where(_like(due, value), value, state[name]) for name, value in come.items()}
        return {**state, **come, "scenery_due": torch.zeros_like(due)}

    def paint(self, state: State, then: Observation, now: Observation, names: Sequence[str]) -> Observation:
        """See `protocol.ScenePainter`."""
        # After an observation the keyframe is what was really seen.
        real = state["key_pictures"][..., :3]
        rows = zip(_parted(placed(self.rssm, state, then)), real.split(_size(real)), strict=True)
        kept = [self._kept(row, pictures) for row, pictures in rows]
        known = {name: torch.cat([part[name] for part in kept]) for name in kept[0]}
        after = {**placed(self.rssm, state, now), **known, "key_pose": relative(then["pose"], now["pose"])}
        after["key_now"] = torch.zeros_like(state["key_now"])
        turns = (now["pose"] - then["pose"])[:, 2].split(_size(real))
        painted = [self._painted(row, turned)[0] for row, turned in zip(_parted(after), turns, strict=True)]
        return {name: torch.cat(painted)[:, self.config.cameras.index(name)] for name in names}

    def _painted(self, state: State, turned: Tensor | None = None) -> tuple[Tensor, State]:
        """Pictures (B, C, H, W, 3) uint8, and the state in which they are keyframes where it is time.

        turned: (B,) [rad] of the ego since the last real observation, if the state's frame is another.
        """
        kept, now = state["key_pictures"][..., :3], state["key_now"]
        if now.all():
            return kept.contiguous(), state
        motion = relative(state["pose"], state["key_pose"])
        things = self._things(state)
        hits = cast(self.rig, things, self._agents)
        # The state's poses are in the frame of the last real moment.
        turned = state["pose"][:, 2] if turned is None else turned
        key = Keyframe(state["key_pictures"], state["key_generation"], state["real"], turned)
        found = self.hypotheses(key, motion, hits, things, self._then(state, things, motion))
        ground = ground_look(state["map"], state["map_origin"], state["pose"], self.rig, self.contract.bev)
        said = told(motion, key.generation)
        painting = self.painter(ground, hits, things, found, state["look"], said, turned)
        pictures = torch.where(_like(now, kept), kept, as_bytes(painting.colours))
        again = ~now & (motion[:, :2].norm(dim=-1) >= self.config.keyframe_distance)
        if not again.any():
            return pictures, state
        fresh = self._kept({**state, "key_generation": state["key_generation"] + 1}, pictures, things, hits)
        return pictures, {
            **state,
            **{name: torch.where(_like(again, value), value, state[name]) for name, value in fresh.items()},
        }

    def _kept(self, state: State, pictures: Tensor, things: Things | None = None, hits: Hits | None = None) -> State:
        """What a state keeps of its pictures (B, C, H, W, 3) uint8, as a keyframe; `things` and `hits` if at hand."""
        if things is None or hits is None:
            things = self._things(state)
            hits = cast(self.rig, things, self._agents)
        solid = is_solid(self.painter.shader.read(hits, things))
        shown, colours = remembered(pictures, self.rig, hits, solid, things.shape.shape[1])
        colours = torch.where(colours[..., 3:] > 0, colours, things.colour)
        slots = self.config.slots
        return {
            "key_pictures": shown,
            "key_pose": state["pose"],
            "key_agent_pose": state["agent_pose"],
            "key_agent_class": state["agent_class"],
            "key_generation": state["key_generation"],
            "key_now": torch.ones_like(state["key_now"]),
            "agent_colour": colours[:, :slots],
            "scenery_colour": colours[:, self._agents :],
        }

    def _scenery(self, state: State, anchor: Tensor, percepts: list[Percept]) -> State:
        """What stands beside the road, by what is seen of it and the `state` before; `anchor` (B, 3) is the ego's pose
        in the frame of that.
        """
        slots = self.config.scenery_slots
        found = [self.perception.scenery(percept, slots) for percept in percepts]
        new = Found(*(torch.cat(values) for values in zip(*found, strict=True)))
        pose = relative(state["scenery_pose"], anchor[:, None])
        old = Found(pose, state["scenery_size"], state["scenery_kind"], state["scenery_score"])
        both = self.perception.merged(old, new)
        # A thing keeps its colour wherever it is found again.
        away = (both.pose[:, :, None, :2] - pose[:, None, :, :2]).norm(dim=-1).masked_fill(old.kind[:, None] == 0, NONE)
        nearest, which = away.min(-1)
        near = nearest < SAME + SAME_SHARE * both.pose[..., :2].norm(dim=-1)
        colour = state["scenery_colour"].gather(1, which[..., None].expand(-1, -1, 4)) * near[..., None]
        kept = {"pose": both.pose, "size": both.size, "kind": both.kind, "score": both.score, "colour": colour}
        return {f"scenery_{name}": value for name, value in kept.items()}

    def with_ego(self, view: Tensor) -> Tensor:
        """A view (B, H, W) uint8 with the ego in it."""
        return view.masked_fill(self.perception.ego, int(SemanticClass.EGO))

    @property
    def _agents(self) -> int:
        """Slots of agents that move and of obstacles."""
        return self.config.slots + OBSTACLES

    def _things(self, state: State) -> Things:
        """Agents that move, then obstacles, then scenery."""
        pose, _, size, classes = (state[key] for key in KEYS)
        obstacles, frame = state["obstacles"], state["pose"][:, None]
        places = torch.cat([obstacles, torch.zeros_like(obstacles[..., :1])], -1)
        there = (obstacles[..., 0] < NONE).to(torch.uint8) * int(SemanticClass.STATIC_OBJECT)
        agents = agents_as_things(
            torch.cat([pose, relative(places, frame)], 1),
            torch.cat([size, torch.full_like(obstacles, OBSTACLE_SIZE)], 1),
            torch.cat([classes, there], 1),
            F.pad(state["agent_colour"], (0, 0, 0, obstacles.shape[1])),
        )
        scenery = relative(state["scenery_pose"], frame)
        given = (state["scenery_size"], state["scenery_kind"], state["scenery_colour"])
        return joined(agents, scenery_as_things(scenery, *given, self.rig.eye))

    def _then(self, state: State, things: Things, motion: Tensor) -> Things:
        """The same `things` when the keyframe was taken, `motion` (B, 3) ago, in the ego frame of then."""
        slots = self.config.slots
        there = torch.cat([state["key_agent_class"] > 0, things.shape[:, slots:] > 0], 1)
        return before(things, motion, state["key_agent_pose"], self.rig.eye, there)


def _size(batch: Tensor) -> int:
    """Rows of a batch that are seen and painted together.

    On a CPU one by one: how it rounds would depend on how many there are, and what a row needs stays in its cache.
    """
    return 1 if batch.device.type == "cpu" else len(batch)


def _parted(state: State) -> list[State]:
    """A state as states of so many rows."""
    size = _size(state["h"])
    parted = {name: value.split(size) for name, value in state.items()}
    return [{name: parts[i] for name, parts in parted.items()} for i in range(len(parted["h"]))]


def _moved(state: State) -> State:
    """What holds of a state whose ego has moved: its pictures are of before, and scenery may come into reach."""
    return {"key_now": torch.zeros_like(state["key_now"]), "scenery_due": torch.ones_like(state["scenery_due"])}


def _like(mask: Tensor, value: Tensor) -> Tensor:
    """A mask (B,) that goes with a value (B, ...)."""
    return mask.view(-1, *[1] * (value.ndim - 1))


def as_bytes(colours: Tensor) -> Tensor:
    """Colours (B, C, 3, H, W) from 0 to 1 as pictures (B, C, H, W, 3) uint8."""
    return (colours.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).contiguous()
