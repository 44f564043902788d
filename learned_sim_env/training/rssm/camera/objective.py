"""Everything that is trained of the world model of cameras, as one objective of a run."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.objective import Finished, Making, new_model, shares
from learned_sim_env.training.processes import Process
from learned_sim_env.training.rssm.camera.births import BirthsObjective
from learned_sim_env.training.rssm.camera.births_calibration import calibrate
from learned_sim_env.training.rssm.camera.detecting import DetectingObjective
from learned_sim_env.training.rssm.camera.moments import Moments
from learned_sim_env.training.rssm.camera.objectives import PaintingObjective
from learned_sim_env.training.rssm.camera.painter_examples import Examples
from learned_sim_env.training.rssm.camera.painter_loss import paint
from learned_sim_env.training.rssm.camera.seeing import SeeingObjective
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.rssm.camera.painting.view import as_bytes

# Batches of validation.
VALIDATION_BATCHES = 6


@dataclass(frozen=True)
class CameraSettings:
    """What a run of the model of cameras has beside `TrainConfig`. Its `batch_size` are moments to be seen."""

    state: str = "bev-rssm"
    """Checkpoint of the state that is seen and painted; of it only the detector learns. With --start, all of the model
    begins with that checkpoint's weights."""
    painted: int = 8
    """Moments to be painted a step, over all processes."""
    detected: int = 4
    """Moments a step whose agents are to be found, over all processes."""
    detect_from: int = 1000
    """Step from which they are, when there is something to be seen."""
    born: int = 16
    """Moments a step whose births of scenery are learned, over all processes."""


class CameraBatch(NamedTuple):
    """What a step learns from; `detected` is None before agents are looked for."""

    split: str
    seen: np.ndarray
    painted: Examples
    born: np.ndarray
    detected: np.ndarray | None


class CameraObjective:
    """What the trainer needs to know: the sum of seeing, painting, detecting and births, which share no weights.

    Args:
        config: the run; its horizon has no meaning here.
        settings: see `CameraSettings`.
        data: all episodes; those that have cameras, views, routes, maps, agents and scenery are learned from.
        process: which one of the run this is.
        device: where to compute.

    Raises:
        ValueError: for data of another contract, or batches that the processes cannot share evenly.
        FileNotFoundError: if there is no checkpoint with a state, or to start with.
    """

    settings_class = CameraSettings
    run_defaults: ClassVar[Mapping[str, Any]] = {
        "contract": "driving-camera",
        "learning_rate": 2e-3,
        "weight_decay": 1e-4,
        "clip_norm": 1.0,
    }
    shared: ClassVar[tuple[str, ...]] = ("batch_size", "painted", "detected", "born")
    amounts: ClassVar[tuple[str, ...]] = ()
    # With pictures, one takes 60 kB.
    contexts: ClassVar[int] = 64
    made_before: ClassVar[Mapping[str, Making]] = {}
    progress: ClassVar[tuple[str, ...]] = ("classes", "psnr")

    def __init__(
        self, config: TrainConfig, settings: CameraSettings, data: PackedData, process: Process, device: torch.device
    ):
        self.config, self.settings, self.process, self.device = config, settings, process, device
        state = from_pretrained(settings.state).model
        self.model = new_model(config, **vars(state.config)).to(device)
        if not config.start:
            self.model.rssm.load_state_dict(state.state_dict())
        self.model.rssm.requires_grad_(False)
        self.model.rssm.detector.requires_grad_(True)
        cameras = self.model.config.cameras
        data.check_contract(self.model.contract, (*self.model.observes, "bev"))
        needed = (*self.model.observes, "bev", "map", "pose", "agents", "stations", "scenery")
        splits = {split: data.split(split).having(needed) for split in ("train", "validation")}
        moments = {split: Moments.of(episodes, cameras, str(device)) for split, episodes in splits.items()}
        seed = config.seed * process.world + process.rank
        share = shares(type(self), config, settings, process.world)
        self.seeing = SeeingObjective(self.model, moments, share["batch_size"], seed)
        self.painting = PaintingObjective(self.model, moments, share["painted"], seed)
        self.detecting = DetectingObjective(self.model, moments, share["detected"], seed)
        self.births = BirthsObjective(self.model.births, moments, share["born"], seed)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All that learns, at the same rate."""
        learns = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return [{"params": learns, "peak": self.config.learning_rate}]

    def batch(self, step: int) -> CameraBatch:
        """This process's share of what a step learns from. It depends on the step, and on what was painted before."""
        return self._batch("train", step, step >= self.settings.detect_from)

    def validation_batches(self) -> Iterator[CameraBatch]:
        """Always the same, of unseen episodes."""
        for i in range(VALIDATION_BATCHES):
            yield self._batch("validation", i, True)

    def loss(self, batch: CameraBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of all losses, and their parts."""
        total, parts = self.seeing.loss(batch.split, batch.seen)
        painting, painted = self.painting.loss(batch.split, batch.painted)
        births, born = self.births.loss(batch.split, batch.born)
        total, parts = total + painting + births, {**parts, **painted, **born}
        if batch.detected is not None:
            detecting, detected = self.detecting.loss(batch.split, batch.detected)
            total, parts = total + detecting, {**parts, **detected}
        return total, parts

    @torch.no_grad()
    def pictures(self) -> np.ndarray:
        """(H, W, 3) uint8: moments of unseen episodes, each as painted above what it was."""
        given = self.painting.batch("validation", 0)
        painted, true = (as_bytes(v).cpu().numpy() for v in (paint(self.model, given).colours, given.true))
        rows = [np.concatenate(list(views), 1) for pair in zip(painted, true, strict=True) for views in pair]
        return np.concatenate(rows)

    def finish(self) -> Finished:
        """The model, its births calibrated, and with its weights rounded as a checkpoint keeps them."""
        model = copy.deepcopy(self.model).eval()
        shares = calibrate(model.births, self.births.data["train"], self.config.seed)
        model.load_state_dict(model.stored_weights())
        return Finished(model, {"state": self.settings.state, **shares})

    def memory(self) -> dict[str, Tensor]:
        """The pictures that were painted, from which later steps go on."""
        return self.painting.own.tensors()

    def recall(self, memory: dict[str, Tensor]) -> None:
        """See `memory`."""
        self.painting.own.recall(memory)

    def _batch(self, split: str, step: int, detect: bool) -> CameraBatch:
        detected = self.detecting.batch(split, step) if detect else None
        seen, painted = self.seeing.batch(split, step), self.painting.batch(split, step)
        return CameraBatch(split, seen, painted, self.births.batch(split, step), detected)
