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

from learned_sim_env.spec import Contract, SemanticClass
from learned_sim_env.world_model.geometry import compose, relative
from learned_sim_env.world_model.protocol import Observation, State
from learned_sim_env.world_model.rssm.agents import KEYS
from learned_sim_env.world_model.rssm.camera.boxes import FAR, Hits, cast
from learned_sim_env.world_model.rssm.camera.config import SIZES, CameraConfig
from learned_sim_env.world_model.rssm.camera.ground_look import ground_look
from learned_sim_env.world_model.rssm.camera.keyframe import Hypotheses, Keyframe
from learned_sim_env.world_model.rssm.camera.look import Look
from learned_sim_env.world_model.rssm.camera.painter import Painter, is_static, told
from learned_sim_env.world_model.rssm.camera.perception import Perception
from learned_sim_env.world_model.rssm.camera.ranges import Ranges, from_bytes
from learned_sim_env.world_model.rssm.camera.ranges import as_bytes as ranges_as_bytes
from learned_sim_env.world_model.rssm.camera.rig import Rig
from learned_sim_env.world_model.rssm.camera.true_scene import placed
from learned_sim_env.world_model.rssm.landmarks import FAR as NONE
from learned_sim_env.world_model.rssm.landmarks import OBSTACLES
from learned_sim_env.world_model.rssm.model import DrivingRSSM

# [m] Side of the boxes that stand for obstacles, of which only places are remembered, see `rssm.landmarks`.
OBSTACLE_SIZE = 0.6


class CameraWorldModel(nn.Module):
    """See the module's docstring; the interface is `protocol.WorldModel`, and what the RSSM's can do beside.

    A state is that of `DrivingRSSM` and, named `key_*`, the keyframe (see `Keyframe`; `key_agent_pose` and
    `key_agent_class` are of the agents that move); `key_now` (B,) bool, whether it shows the present moment; `real`,
    the last real pictures, and `look` (B, look), how the world looks in them.
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
        self.look = Look(len(cameras), config.look)
        self.hypotheses, self.ranges = Hypotheses(self.rig), Ranges(self.rig)
        fine, coarse = config.painting
        self.painter = Painter(self.rig, config.look, (fine, coarse))
        for module in (*self.perception.modules(), *self.painting_parts().modules()):
            # What a CPU is fastest with, but for what comes in otherwise and is large.
            if isinstance(module, nn.Conv2d) and module is not self.painter.inward:
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)

    def painting_parts(self) -> nn.ModuleDict:
        """What pictures are painted with, as far as it is learned."""
        return nn.ModuleDict({"look": self.look, "ranges": self.ranges, "painter": self.painter})

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
        return self.rssm.noise_size

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

    def initial(self, batch_size: int) -> State:
        """The state before anything was seen."""
        state, rig = self.rssm.initial(batch_size), self.rig
        new = state["h"].new_zeros
        shape = (batch_size, len(rig.cameras), rig.height, rig.width)
        return {
            **state,
            "real": new(*shape, 3, dtype=torch.uint8),
            "real_ranges": new(*shape, dtype=torch.uint8),
            "look": new(batch_size, self.look.size),
            "key_pictures": new(*shape, 4, dtype=torch.uint8),
            "key_ranges": new(*shape, dtype=torch.uint8),
            "key_pose": new(batch_size, 3),
            "key_agent_pose": new(batch_size, self.config.slots, 3),
            "key_agent_class": new(batch_size, self.config.slots, dtype=torch.uint8),
            "key_generation": new(batch_size),
            "key_now": new(batch_size, dtype=torch.bool),
        }

    def observe(self, state: State, action: Tensor, observation: Observation) -> State:
        """Posterior: `action` (B, 2) led from the last observation to this one, of `observes`."""
        pictures = torch.stack([observation[name] for name in self.config.cameras], 1)
        route = observation["route"].float()
        rows = list(zip(pictures.split(_size(route)), route.split(_size(route)), strict=True))
        view = torch.cat([self.perception(*row).view() for row in rows])
        view = self.with_ego(view)
        given = {"bev": view, "ego": observation["ego"]}
        new = self.rssm.observe(state, action, given, self.perception.seen)
        hits = [self._hits(self._agents(row)) for row in _parted(new)]
        ranges = torch.cat([self._ranges(row) for row, _ in rows])
        return {
            **new,
            "real": pictures,
            "real_ranges": ranges,
            "key_ranges": ranges.clone(),
            "look": torch.cat([self.look(row) for row, _ in rows]),
            "key_pictures": torch.cat([with_agents(row, hit) for (row, _), hit in zip(rows, hits, strict=True)]),
            "key_pose": torch.zeros_like(new["pose"]),
            "key_agent_pose": new["agent_pose"].clone(),
            "key_agent_class": new["agent_class"].clone(),
            "key_generation": torch.zeros_like(state["key_generation"]),
            "key_now": torch.ones_like(state["key_now"]),
        }

    def imagine(self, state: State, action: Tensor, noise: Tensor | None, temperature: float = 1.0) -> State:
        """Prior, one clock step; see `DrivingRSSM.imagine`."""
        new = self.rssm.imagine(state, action, noise, temperature)
        return {**new, "key_now": torch.zeros_like(state["key_now"])}

    def at(self, state: State, pose: Tensor) -> State:
        """The same state, but with the ego at `pose` (B, 3) in the frame of the last real observation."""
        return {**self.rssm.at(state, pose), "key_now": torch.zeros_like(state["key_now"])}

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
            rows = [self._painted(row) for row in _parted(state)]
            pictures = torch.cat([row for row, _ in rows])
            state = {name: torch.cat([row[name] for _, row in rows]) for name in state}
            drawn.update({name: pictures[:, cameras.index(name)] for name in wanted})
        return drawn, state

    def paint(self, state: State, then: Observation, now: Observation, names: Sequence[str]) -> Observation:
        """See `protocol.ScenePainter`."""
        before, after = placed(self.rssm, state, then), placed(self.rssm, state, now)
        kept = [with_agents(row["real"], self._hits(self._agents(row))) for row in _parted(before)]
        known = {
            "key_pictures": torch.cat(kept),
            "key_agent_pose": before["agent_pose"],
            "key_agent_class": before["agent_class"],
            "key_now": torch.zeros_like(state["key_now"]),
        }
        rows = zip(_parted({**after, **known}), now["pose"][:, 2].split(_size(now["pose"])), strict=True)
        pictures = torch.cat([self._painted(row, turned)[0] for row, turned in rows])
        return {name: pictures[:, self.config.cameras.index(name)] for name in names}

    def _painted(self, state: State, turned: Tensor | None = None) -> tuple[Tensor, State]:
        """Pictures (B, C, H, W, 3) uint8, and the state in which they are keyframes where it is time.

        turned: (B,) [rad] of the ego since the last real observation, if the state's frame is another.
        """
        kept, now = state["key_pictures"][..., :3], state["key_now"]
        if now.all():
            return kept.contiguous(), state
        motion = relative(state["pose"], state["key_pose"])
        agents = self._agents(state)
        hits = self._hits(agents)
        then, there = self._then(state, agents["pose"], motion)
        # The state's poses are in the frame of the last real moment.
        real, turned = state["real"], state["pose"][:, 2] if turned is None else turned
        ranges = (from_bytes(state[name]) for name in ("key_ranges", "real_ranges"))
        key = Keyframe(
            state["key_pictures"], state["key_pose"], then, there, state["key_generation"], real, turned, *ranges
        )
        sources = self.hypotheses(key, motion, hits, agents["pose"])
        ground = ground_look(state["map"], state["map_origin"], state["pose"], self.rig, self.contract.bev)
        said = told(motion, key.generation)
        painting = self.painter(ground, hits, is_static(agents["class"]), sources, state["look"], said, turned)
        pictures = torch.where(_like(now, kept), kept, as_bytes(painting.colours))
        again = ~now & (motion[:, :2].norm(dim=-1) >= self.config.keyframe_distance)
        if not again.any():
            return pictures, state
        fresh = {
            "key_pictures": with_agents(pictures, hits),
            "key_ranges": self._ranges(pictures),
            "key_pose": state["pose"],
            "key_agent_pose": state["agent_pose"],
            "key_agent_class": state["agent_class"],
            "key_generation": state["key_generation"] + 1,
            "key_now": torch.ones_like(now),
        }
        return pictures, {
            **state,
            **{name: torch.where(_like(again, value), value, state[name]) for name, value in fresh.items()},
        }

    def with_ego(self, view: Tensor) -> Tensor:
        """A view (B, H, W) uint8 with the ego in it."""
        return view.masked_fill(self.perception.ego, int(SemanticClass.EGO))

    def _ranges(self, pictures: Tensor) -> Tensor:
        """How far away what pictures (B, C, H, W, 3) uint8 show is, as it is kept."""
        return ranges_as_bytes(self.ranges(pictures))

    def _hits(self, agents: dict[str, Tensor]) -> Hits:
        return cast(self.rig.rays, self.rig.origins, agents["pose"], agents["size"], agents["class"])

    def _agents(self, state: State) -> dict[str, Tensor]:
        """Agents that move, then obstacles: "pose" (B, K, 3) in the ego frame, "size" (B, K, 2), "class" (B, K)."""
        pose, _, size, classes = (state[key] for key in KEYS)
        obstacles = state["obstacles"]
        places = torch.cat([obstacles, torch.zeros_like(obstacles[..., :1])], -1)
        there = (obstacles[..., 0] < NONE).to(torch.uint8) * int(SemanticClass.STATIC_OBJECT)
        return {
            "pose": torch.cat([pose, relative(places, state["pose"][:, None])], 1),
            "size": torch.cat([size, torch.full_like(obstacles, OBSTACLE_SIZE)], 1),
            "class": torch.cat([classes, there], 1),
        }

    def _then(self, state: State, pose: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
        """Where the agents with `pose` (B, K, 3) now were when the keyframe was taken, in the ego frame of then; and
        their classes (B, K), 0 for those that were not there.
        """
        still = compose(motion[:, None], pose[:, -OBSTACLES:])
        # A slot may have been left by one agent and taken by another since.
        same = (state["key_agent_class"] > 0) & (state["agent_class"] > 0)
        there = torch.cat([state["key_agent_class"] * same, torch.ones_like(still[..., 0], dtype=torch.uint8)], 1)
        return torch.cat([state["key_agent_pose"], still], 1), there


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


def _like(mask: Tensor, value: Tensor) -> Tensor:
    """A mask (B,) that goes with a value (B, ...)."""
    return mask.view(-1, *[1] * (value.ndim - 1))


def with_agents(pictures: Tensor, hits: Hits) -> Tensor:
    """Pictures (B, C, H, W, 3) uint8 with a channel that tells agents, as keyframes have them."""
    mask = ((hits.depth < FAR).to(torch.uint8) * 255).view(*pictures.shape[:-1], 1)
    return torch.cat([pictures, mask], -1)


def as_bytes(colours: Tensor) -> Tensor:
    """Colours (B, C, 3, H, W) from 0 to 1 as pictures (B, C, H, W, 3) uint8."""
    return (colours.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).contiguous()
