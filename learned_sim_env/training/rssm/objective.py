"""What the RSSM is trained for, and what is fitted of it after the last step."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.training.batches import Batch, Paths
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.ego_path import fine_tune_path, path_loss
from learned_sim_env.training.objective import Finished, Making, WindowObjective, new_model
from learned_sim_env.training.processes import Process
from learned_sim_env.training.rssm.agent_losses import detect, others_around, traffic_loss
from learned_sim_env.training.rssm.birth_rate import calibrate_birth_rate
from learned_sim_env.training.rssm.fine_tune import fine_tune_agents
from learned_sim_env.training.rssm.fine_tune_heads import fine_tune_heads
from learned_sim_env.training.rssm.losses import window_loss
from learned_sim_env.training.rssm.mixing import mix
from learned_sim_env.training.rssm.roads.assembly import RoadsConfig, make_library, with_roads
from learned_sim_env.training.rssm.settings import RSSMSettings
from learned_sim_env.world_model.rssm.model import DrivingRSSM
from learned_sim_env.world_model.rssm.roads.library import RoadLibrary

# Windows of a validation batch for the ego's own motion.
VALIDATION_PATHS = 256
# Settings that say how much of a model is fitted in the end.
FITTED = ("path_steps", "agent_steps", "head_windows", "head_steps")


class RSSMObjective(WindowObjective):
    """See `training.objective.Objective`. A batch is one of windows, and a larger one for the ego's own motion."""

    settings_class = RSSMSettings
    shared: ClassVar[tuple[str, ...]] = ("batch_size", "path_batch")
    amounts: ClassVar[tuple[str, ...]] = ("steps", "warmup", *FITTED, "head_drives")
    made_before: ClassVar[Mapping[str, Making]] = {"roads": Making(RoadsConfig, make_library)}
    progress: ClassVar[tuple[str, ...]] = ("map", "motion")

    def __init__(
        self, config: TrainConfig, settings: RSSMSettings, data: PackedData, process: Process, device: torch.device
    ):
        super().__init__(config, settings, data, process, device)
        self.roads: RoadLibrary | None = self.model.roads
        if self.roads is not None:
            # Only what is finished imagines road in pieces.
            self.model = with_roads(self.model, None)
        self.train_paths, self.validation_paths = self.samplers(settings.path_horizon)
        top_speed = torch.tensor(self.train.top_speed)
        if config.start:
            # What it knows of faster driving, and of others, is not lost because there is little to learn from.
            known = self.model.ego_path.top_speed.cpu()
            top_speed = top_speed.maximum(torch.where(known.isfinite(), known, 0))
            around = max(self.model.config.slots, others_around(self.model, self.train))
            self.model.config = replace(self.model.config, slots=around)
        self.model.ego_path.top_speed.copy_(top_speed)
        # What was fitted when another run was finished will be fitted anew.
        self.model.births.likelier.zero_()

    def new_model(self) -> Any:
        """As everywhere, but that a checkpoint's pieces of road are kept, how many others are kept track of, what
        these are told, and how they come into view.
        """
        return new_model(self.config, free=("slots", "roads", "conflicts", "neighbours", "birth_tries"))

    @property
    def needs(self) -> tuple[str, ...]:
        """The route that it draws is learned from the headings that all data have."""
        return tuple(self.model.observes)

    @property
    def needs_parts(self) -> tuple[str, ...]:
        """Road users are found in several views together, which have to be put one over the other."""
        return ("pose",)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The ego's own motion, and the rest."""
        path = list(self.model.ego_path.parameters())
        others = [p for name, p in self.model.named_parameters() if not name.startswith("ego_path.")]
        return [
            {"params": others, "peak": self.config.learning_rate},
            {"params": path, "peak": self.settings.path_learning_rate},
        ]

    def batch(self, step: int) -> tuple[Batch, Paths]:
        """Windows of this step."""
        paths = self.train_paths.sample_paths(self.shares["path_batch"], self.config.seed, step, self.process.rank)
        return super().batch(step), paths.to(self.device)

    def validation_batches(self) -> Iterator[tuple[Batch, Paths]]:
        """Fixed windows of unseen maps."""
        for i, batch in enumerate(super().validation_batches()):
            yield batch, self.validation_paths.sample_paths(VALIDATION_PATHS, 0, i).to(self.device)

    def loss(self, batch: tuple[Batch, Paths]) -> tuple[Tensor, dict[str, Tensor]]:
        """See `window_loss`."""
        return window_loss(self.model, *batch, self.settings.loss)

    def finish(self) -> Finished:
        """Fine-tune the ego's own motion, that of others and the heads, the latter with pieces of road to drive on if
        there are any, and calibrate the rate of births.
        """
        s, seed = self.settings, self.config.seed
        model = copy.deepcopy(self.model).eval()
        fine_tune_path(model.ego_path, self.train_paths, s, seed, self.cache)
        fine_tune_agents(model, self.train, s, seed, self.cache)
        facts: dict[str, Any] = {}
        if self.config.start:
            facts["kept"] = mix(model, self.new_model().to(self.device), lambda part: self._unseen_loss(model, part))
        roads = RoadLibrary.load(Path(s.roads)) if s.roads else self.roads
        if roads is not None:
            model = with_roads(model, roads)
            facts.update(pieces_of_road=roads.sizes.pieces, head_drives=s.head_drives)
        fine_tune_heads(model, self.train, s, seed, self.cache)
        facts.update({name: getattr(s, name) for name in FITTED})
        facts["births_factor"] = round(calibrate_birth_rate(model, self.data), 3)
        return Finished(model, facts)

    def _unseen_loss(self, model: DrivingRSSM, part: str) -> float:
        """The loss on validation windows that a part of a model, see `mixing`, is judged by; always by the same chance.

        What others than the part add to it is the same whatever the part is.
        """
        torch.manual_seed(self.config.seed)
        was, weights, total = model.training, self.settings.loss, 0.0
        model.train()
        for batch, paths in self.validation_batches():
            if part == "ego_path":
                loss = path_loss(model.ego_path, paths)
            elif part == "agent_motion":
                loss = traffic_loss(model, batch)
            elif part == "detector":
                _, loss = detect(model, batch, weights)
            else:
                loss, _ = window_loss(model, batch, paths, weights)
            total += float(loss)
        model.train(was)
        return total
