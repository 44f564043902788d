"""The world model that sees and paints camera pictures, around a state that is a bird's-eye view's.

What cameras show becomes a view from above (`perception`), which the state of `rssm` takes in; from that state's map
and agents, and from pictures that are remembered, pictures are painted (`painting`). All cameras see and
show the same state, so that they agree.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from learned_sim_env.spec import Contract, SemanticClass
from learned_sim_env.world_model.geometry import compose, relative
from learned_sim_env.world_model.protocol import Observation, State
from learned_sim_env.world_model.row_threads import each
from learned_sim_env.world_model.rssm.camera.config import SIZES, CameraConfig
from learned_sim_env.world_model.rssm.camera.painting.keyframe import Hypotheses
from learned_sim_env.world_model.rssm.camera.painting.look import Look
from learned_sim_env.world_model.rssm.camera.painting.painter import Painter
from learned_sim_env.world_model.rssm.camera.painting.pictures import Pictures, where_rows
from learned_sim_env.world_model.rssm.camera.painting.rig import Rig
from learned_sim_env.world_model.rssm.camera.painting.view import View
from learned_sim_env.world_model.rssm.camera.perception.perception import Percept, Perception
from learned_sim_env.world_model.rssm.camera.perception.scenery_finder import Found
from learned_sim_env.world_model.rssm.camera.scenery.births import UNIFORMS, SceneryBirths
from learned_sim_env.world_model.rssm.camera.true_scene import placed
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from learned_sim_env.world_model.rssm.route.landmarks import FAR, OBSTACLES

# Scenery is the same where it is found within so many metres of where it was, and so much of its distance.
SAME, SAME_SHARE = 1.0, 0.1


class CameraWorldModel(nn.Module):
    """See the module's docstring; the interface is `protocol.WorldModel`, and what the RSSM's can do beside.

    A state is that of `DrivingRSSM`, and of what stands beside the road `scenery_pose` (B, S, 3) in the frame of the
    last real observation, `scenery_size` (B, S, 3) length, width, height [m], `scenery_kind` (B, S) uint8
    `SceneryKind`, 0 for an empty slot, and `scenery_score` (B, S), how sure it is; what `scenery.births` keeps, and
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
        alone = [Hypotheses(self.rig, Rig([camera])) for camera in cameras]
        self.alone = nn.ModuleList(alone)
        fine, coarse = config.painting
        self.painter = Painter(config.look, (fine, coarse))
        # Made of what is registered above.
        agents = config.slots + OBSTACLES
        views = [View(look_up, self.painter, range(i, i + 1), agents, contract.bev) for i, look_up in enumerate(alone)]
        together = View(self.hypotheses, self.painter, range(len(cameras)), agents, contract.bev)
        self.pictures = Pictures(self.rig, views, together, self.painter.shader, config.slots, config.keyframe_distance)
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
    def tells_imagined_road(self) -> bool:
        """See `protocol.RoadModel`."""
        return self.rssm.tells_imagined_road

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
            for name, parameter in part.named_parameters():
                # For networks of single pixels it takes longer.
                if not name.startswith("painter.shader."):
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
        rows, routes = pictures.split(_size(route)), route.split(_size(route))
        percepts = each(self.perception, rows, routes)
        view = self.with_ego(torch.cat([percept.view() for percept in percepts]))
        given = {"bev": view, "ego": observation["ego"]}
        new = {**state, **self.rssm.observe(state, action, given, self.perception.seen)}
        moved = torch.where(state["seen"][:, None], new["motions"][:, -1], 0)
        anchor = compose(state["pose"], moved)
        new.update(self.births.initial(new["pose"]))
        new.update(
            self._scenery(state, anchor, percepts),
            look=torch.cat(each(self.look, rows)),
            agent_colour=torch.zeros_like(state["agent_colour"]),
            scenery_due=torch.zeros_like(state["scenery_due"]),
            key_generation=torch.zeros_like(state["key_generation"]),
        )
        parts = each(self.pictures.kept, _parted(new), rows)
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
            numbers = [cameras.index(name) for name in wanted]
            parts = _parted(state)
            rows = each(lambda part: self.pictures.drawn(part, numbers), parts)
            drawn.update(zip(wanted, torch.cat([row for row, _ in rows]).unbind(1), strict=True))
            changed = {name for _, new in rows for name in new}
            kept = [{**part, **new} for part, (_, new) in zip(parts, rows, strict=True)]
            state = {**state, **{name: torch.cat([row[name] for row in kept]) for name in changed}}
        return drawn, state

    def _with_births(self, state: State) -> State:
        """A state with the scenery that has come into reach, once for each time that the ego has moved."""
        due = state["scenery_due"]
        if not due.any():
            return state
        come = self.births(state)
        come["scenery_score"] = (come["scenery_kind"] > 0).float()
        come = {name: where_rows(due, value, state[name]) for name, value in come.items()}
        return {**state, **come, "scenery_due": torch.zeros_like(due)}

    def paint(self, state: State, then: Observation, now: Observation, names: Sequence[str]) -> Observation:
        """See `protocol.ScenePainter`."""
        # After an observation the keyframe is what was really seen.
        real = state["key_pictures"][..., :3]
        kept = each(self.pictures.kept, _parted(placed(self.rssm, state, then)), real.split(_size(real)))
        known = {name: torch.cat([part[name] for part in kept]) for name in kept[0]}
        after = {**placed(self.rssm, state, now), **known, "key_pose": relative(then["pose"], now["pose"])}
        after["key_now"] = torch.zeros_like(state["key_now"])
        turns = (now["pose"] - then["pose"])[:, 2].split(_size(real))
        numbers = [self.config.cameras.index(name) for name in names]
        painted = each(lambda row, turned: self.pictures.painted(row, numbers, turned), _parted(after), turns)
        return dict(zip(names, torch.cat(painted).unbind(1), strict=True))

    def _scenery(self, state: State, anchor: Tensor, percepts: list[Percept]) -> State:
        """What stands beside the road, by what is seen of it and the `state` before; `anchor` (B, 3) is the ego's pose
        in the frame of that.
        """
        slots = self.config.scenery_slots
        found = each(lambda percept: self.perception.scenery(percept, slots), percepts)
        new = Found(*(torch.cat(values) for values in zip(*found, strict=True)))
        pose = relative(state["scenery_pose"], anchor[:, None])
        old = Found(pose, state["scenery_size"], state["scenery_kind"], state["scenery_score"])
        both = self.perception.merged(old, new)
        # A thing keeps its colour wherever it is found again.
        away = (both.pose[:, :, None, :2] - pose[:, None, :, :2]).norm(dim=-1).masked_fill(old.kind[:, None] == 0, FAR)
        nearest, which = away.min(-1)
        near = nearest < SAME + SAME_SHARE * both.pose[..., :2].norm(dim=-1)
        colour = state["scenery_colour"].gather(1, which[..., None].expand(-1, -1, 4)) * near[..., None]
        kept = {"pose": both.pose, "size": both.size, "kind": both.kind, "score": both.score, "colour": colour}
        return {f"scenery_{name}": value for name, value in kept.items()}

    def with_ego(self, view: Tensor) -> Tensor:
        """A view (B, H, W) uint8 with the ego in it."""
        return view.masked_fill(self.perception.ego, int(SemanticClass.EGO))


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
