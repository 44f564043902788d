"""What the model consists of: its parts, the state before anything was seen, and what parts are told of a state."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from learned_sim_env.road import STATIONS
from learned_sim_env.spec import Contract
from learned_sim_env.world_model.ego_path import ACTION_HISTORY, MOTION_HISTORY, MOTION_SCALE, SPEED_SCALE, EgoPath
from learned_sim_env.world_model.geometry import points_from, turn
from learned_sim_env.world_model.protocol import State
from learned_sim_env.world_model.rssm.agents import boxes
from learned_sim_env.world_model.rssm.agents.births import Births
from learned_sim_env.world_model.rssm.agents.detector import LAGS, Detector
from learned_sim_env.world_model.rssm.agents.motion import AgentMotion
from learned_sim_env.world_model.rssm.config import RSSMConfig
from learned_sim_env.world_model.rssm.heads import OutcomeHeads
from learned_sim_env.world_model.rssm.latent import Encoder, Latent
from learned_sim_env.world_model.rssm.map.decoder import MapDecoder
from learned_sim_env.world_model.rssm.map.memory import MapMemory
from learned_sim_env.world_model.rssm.roads import plan, surface
from learned_sim_env.world_model.rssm.roads.library import RoadLibrary, Sizes
from learned_sim_env.world_model.rssm.route.finder import RouteFinder
from learned_sim_env.world_model.rssm.route.landmarks import FAR, OBSTACLES, obstacle_gap
from learned_sim_env.world_model.rssm.route.path import HEADING_CHORDS, RoutePath
from learned_sim_env.world_model.rssm.surroundings import Surroundings

# Views kept for the detector.
VIEWS = max(LAGS)
# Network inputs about the ego and its route, see `Parts.inputs`.
INPUTS = 7 + 2 * len(HEADING_CHORDS)


class Parts(nn.Module):
    """The parts of `model.DrivingRSSM`, whose names are those of a checkpoint's weights."""

    def __init__(self, config: RSSMConfig, contract: Contract):
        super().__init__()
        self.config, self.contract = config, contract
        bev = contract.bev
        self.memory = MapMemory(bev, config.map_size)
        self.ego_path = EgoPath(contract.dt)
        self.agent_motion = AgentMotion(contract.dt, conflicts=config.conflicts)
        self.surroundings = Surroundings(config.surroundings, config.neighbours)
        self.detector = Detector(bev, contract.dt)
        self.encoder = Encoder(bev, config.channels, config.embedding)
        self.route_finder = RouteFinder(bev)
        self.route_path = RoutePath()
        self.latent = Latent(INPUTS + 2 + 3, config.embedding, config.hidden, config.groups, config.classes)
        latent_size = config.hidden + self.latent.z_size
        self.ego_scale: Tensor
        scale = [1 / SPEED_SCALE, contract.dt / MOTION_SCALE[2], 1.0, 1.0, 0.2]
        self.register_buffer("ego_scale", torch.tensor(scale), persistent=False)
        self.latent_size = latent_size + INPUTS + 3 + 3 + 2 + self.surroundings.size + 1
        self.heads = OutcomeHeads(self.latent_size, config.head_hidden)
        self.births = Births(bev, config.hidden, config.birth_tries)
        self.decoder = MapDecoder(bev, latent_size, config.channels)
        self.roads = RoadLibrary(Sizes(*config.roads)) if config.roads else None

    @property
    def static_graph(self) -> bool:
        """A model that is not being trained does the same at every step."""
        return not self.training

    @property
    def latent_groups(self) -> tuple[int, int]:
        """Categorical latents that z consists of, and classes of each."""
        return self.latent.groups, self.latent.classes

    @property
    def tells_imagined_road(self) -> bool:
        """With pieces of road, `around` tells of those that were laid."""
        return self.roads is not None

    @property
    def noise_size(self) -> int:
        """Uniforms that a row needs for a step: one each for categorical latents and agents, births, and the route."""
        return self.config.groups + self.config.slots + 2

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
            "surroundings": zeros(self.surroundings.size),
            **({} if self.roads is None else plan.empty(batch_size, device)),
            **boxes.no_agents(batch_size, c.slots, device),
        }

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

    def around(self, state: State, before: Tensor | None = None) -> Tensor:
        """(B, `Surroundings.size`): the map around the ego, as it was observed or as pieces of road were laid there,
        and the agents and obstacles.

        before: (B, 3) the ego's pose in the last state that could be drawn; that of `state` if None.
        """
        pose = state["pose"]
        points = points_from(self.surroundings.points, pose)
        ids = self._ids_seen(state, points, pose if before is None else before)
        if self.roads is not None:
            ids = surface.told(self.roads, state, points, ids)
        return self.surroundings(ids, state, obstacle_gap(state["obstacles"], pose))

    def _ids_seen(self, state: State, points: Tensor, before: Tensor, rows: Tensor | None = None) -> Tensor:
        # Only what was observed, and as if the state at `before` had been drawn, which moves the map's window: nothing
        # must depend on what was drawn.
        return self.memory.read(state["map"], state["map_origin"], points, True, followed=before, rows=rows)
