"""Objectives: all that the trainer needs to know of an architecture, and which of them there are.

A new one is a new line here; see the page "Add your own world model" in the docs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.spec import CONTRACTS, unknown
from learned_sim_env.training.batches import WindowSampler
from learned_sim_env.training.config import TrainConfig
from learned_sim_env.training.pictures import film_strips, picture_drawn
from learned_sim_env.training.processes import Process
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.registry import MODELS, architecture_of, model_of_size

# Architecture, as in `world_model.registry.ARCHITECTURES` -> module:class of its objective.
OBJECTIVES = {
    "camera": "learned_sim_env.training.rssm.camera.objective:CameraObjective",
    "rssm": "learned_sim_env.training.rssm.objective:RSSMObjective",
    "lstm": "learned_sim_env.training.lstm:LSTMObjective",
    "transformer": "learned_sim_env.training.transformer.objective:TransformerObjective",
}

# Validation: batches, and windows of each; windows that are drawn.
VALIDATION_BATCHES, VALIDATION_WINDOWS, DRAWN_WINDOWS = 4, 16, 8


class Finished(NamedTuple):
    """A model that is ready to be exported, in evaluation mode, and facts about its training for the card."""

    model: Any
    facts: dict[str, Any]


class Making(NamedTuple):
    """How a file is made. config: dataclass with defaults, of what. make: called with such and the path to write to, it
    returns figures about what was made, by name.
    """

    config: type[Any]
    make: Callable[[Any, Path], Mapping[str, float]]


class Objective(Protocol):
    """What one architecture is trained for, in one process of a run.

    The class is called with a `TrainConfig`, settings of its `settings_class`, the data, the `Process` and a device.
    """

    settings_class: ClassVar[type[Any]]
    """A dataclass with defaults: the architecture's own settings, which become flags of `learned-sim train`."""
    run_defaults: ClassVar[Mapping[str, Any]]
    """Settings of `TrainConfig` that suit the architecture, where they are not those of others, see `run_config`."""
    shared: ClassVar[tuple[str, ...]]
    """Settings, common ones or its own, that say how much a step learns from, over all processes of the run."""
    amounts: ClassVar[tuple[str, ...]]
    """Settings, common ones or its own, that say how much is trained: less by default of a run that goes on from a
    checkpoint, with fewer data than that has learned from, see `training.export.amount`."""
    contexts: ClassVar[int]
    """Starting contexts to ship with a checkpoint, if nobody says how many."""
    made_before: ClassVar[Mapping[str, Making]]
    """Files that are made before a run, by the settings of its own that name them; each is a stage of a recipe."""
    progress: ClassVar[tuple[str, ...]]
    """Parts of the loss that the progress bar shows."""
    cache: Path | None
    """Folder for what takes long and can be computed again, shared by a run's processes; None: keep it in memory."""

    @property
    def model(self) -> Any:
        """An `nn.Module` that is a `protocol.WorldModel`, on the device."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimiser: "params"; "peak", their learning rate after the warm-up; and, for a group that
        learns in one stage of the run, "span": the stage's first step, and the step after its last.
        """
        ...

    def batch(self, step: int) -> Any:
        """This process's share of what step number `step` learns from; it depends on nothing else but the seed."""
        ...

    def validation_batches(self) -> Iterable[Any]:
        """Always the same, of unseen episodes."""
        ...

    def loss(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Total loss of what `batch` gave, and its parts, detached, by name."""
        ...

    def pictures(self) -> np.ndarray | None:
        """(H, W, 3) uint8: what the model imagines of unseen episodes beside what happened; None if it draws none."""
        ...

    def finish(self) -> Finished:
        """Fit what is fitted after the last step; `model` itself is left as it is."""
        ...

    def memory(self) -> dict[str, Tensor]:
        """What later steps of this process depend on beside the model and the optimiser; saved with them."""
        ...

    def recall(self, memory: dict[str, Tensor]) -> None:
        """Take back what `memory` gave; nothing, if the run was not saved by a process of this rank."""
        ...


class WindowObjective:
    """What objectives that learn from windows of recorded episodes have in common; subclasses define the loss.

    Args:
        config: the run.
        settings: the architecture's own.
        data: all episodes; training and validation are split by seed.
        process: which one of the run this is.
        device: where to compute.

    Raises:
        ValueError: for data of another contract, or without validation episodes; a checkpoint to start with that is
            damaged or of another architecture; or batches that the processes cannot share evenly.
        FileNotFoundError: if there is no checkpoint to start with.
    """

    progress: ClassVar[tuple[str, ...]] = ()
    run_defaults: ClassVar[Mapping[str, Any]] = {}
    shared: ClassVar[tuple[str, ...]] = ("batch_size",)
    amounts: ClassVar[tuple[str, ...]] = ()
    contexts: ClassVar[int] = 320
    made_before: ClassVar[Mapping[str, Making]] = {}
    cache: Path | None = None

    def __init__(self, config: TrainConfig, settings: Any, data: PackedData, process: Process, device: torch.device):
        self.config, self.settings, self.data, self.process, self.device = config, settings, data, process, device
        self.shares = shares(type(self), config, settings, process.world)
        self.model: Any = self.new_model().to(device)
        data.check_contract(self.model.contract, self.needs)
        self.train, self.validation = self.samplers(config.horizon)

    def new_model(self) -> Any:
        """The model with which the run begins."""
        return new_model(self.config)

    @property
    def needs(self) -> tuple[str, ...]:
        """Modalities that the data must have."""
        return tuple(dict.fromkeys((*self.model.observes, *self.model.draws)))

    @property
    def needs_parts(self) -> tuple[str, ...]:
        """Parts of episodes, see `data.episode.PARTS`, without which it learns nothing from one."""
        return ()

    def samplers(self, horizon: int) -> tuple[WindowSampler, WindowSampler]:
        """Samplers of windows for training and validation, with `horizon` steps after the context."""
        steps, dt = self.model.context_steps, self.model.contract.dt
        having = (*self.needs, *self.needs_parts)
        train, validation = (
            WindowSampler(self.data.split(name).having(having), steps, horizon, dt, self.needs)
            for name in ("train", "validation")
        )
        return train, validation

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group with all parameters."""
        return [{"params": list(self.model.parameters()), "peak": self.config.learning_rate}]

    def batch(self, step: int) -> Any:
        """A `Batch` of windows."""
        return self.train.sample(self.shares["batch_size"], self.config.seed, step, self.process.rank).to(self.device)

    def validation_batches(self) -> Iterator[Any]:
        """Batches of windows of unseen episodes."""
        for i in range(VALIDATION_BATCHES):
            yield self.validation.sample(VALIDATION_WINDOWS, 0, i).to(self.device)

    def pictures(self) -> np.ndarray | None:
        """Film strips of a few windows of unseen episodes."""
        if picture_drawn(self.model) is None:
            return None
        index = np.linspace(0, self.validation.total - 1, DRAWN_WINDOWS).astype(np.int64)
        return film_strips(self.model, self.validation.windows(index).to(self.device))

    def finish(self) -> Finished:
        """The model as it is."""
        return Finished(copy.deepcopy(self.model).eval(), {})

    def memory(self) -> dict[str, Tensor]:
        """Nothing: a step depends on the model, the optimiser and its number."""
        return {}

    def recall(self, memory: dict[str, Tensor]) -> None:
        """Nothing."""


def objective_class(model: str) -> Any:
    """The class of the `Objective` of one of `world_model.registry.MODELS`.

    Raises:
        ValueError: if there is no such model, or its architecture has no objective.
    """
    if model not in MODELS:
        raise unknown("model", model, MODELS)
    if MODELS[model] not in OBJECTIVES:
        raise unknown("objective for architecture", MODELS[model], OBJECTIVES)
    module, _, name = OBJECTIVES[MODELS[model]].partition(":")
    return getattr(import_module(module), name)


def shares(objective: Any, config: TrainConfig, settings: Any, processes: int) -> dict[str, int]:
    """What each process of a run learns from in a step, by the setting that says it for all of them.

    Args:
        objective: a class of an `Objective`.
        config: the run.
        settings: the architecture's own.
        processes: how many of them share every batch.

    Raises:
        ValueError: if the shares would differ: gradients of all processes have the same weight.
    """
    found = {}
    for name in objective.shared:
        total = getattr(config if hasattr(config, name) else settings, name)
        found[name], rest = divmod(total, processes)
        if rest or not found[name]:
            nearest = " or ".join(str(k * processes) for k in (found[name], found[name] + 1) if k)
            raise ValueError(
                f"{name} {total} cannot be shared evenly by {processes} processes: give {nearest}, or start another "
                "number of processes"
            )
    return found


def run_config(model: str, **settings: Any) -> TrainConfig:
    """The settings of a run of one of `world_model.registry.MODELS`: those given, or else what suits its architecture.

    Raises:
        ValueError: if there is no such model, or its architecture has no objective.
    """
    return TrainConfig(**{"model": model, **objective_class(model).run_defaults, **settings})


def new_model(config: TrainConfig, free: Sequence[str] = (), **changes: Any) -> Any:
    """The model with which a run begins: its first weights follow from the seed, or are those of a checkpoint.

    Args:
        config: the run.
        free: parts of the model's configuration that are a checkpoint's own, whatever its size.
        changes: parts of the model's configuration that are not those of its size.

    Raises:
        ValueError: if there is no such contract, or the checkpoint is damaged or of another architecture or size.
        FileNotFoundError: if there is no checkpoint to start with.
    """
    if config.contract not in CONTRACTS:
        raise unknown("contract", config.contract, CONTRACTS)
    contract = CONTRACTS[config.contract]
    found = from_pretrained(config.start, contract=contract).model if config.start else None
    if found is not None and architecture_of(found) == MODELS.get(config.model):
        changes.update({name: getattr(found.config, name) for name in free})
    torch.manual_seed(config.seed)
    model = model_of_size(config.model, contract, **changes)
    if found is None:
        return model
    # Those of different architectures differ as well.
    if found.config != model.config:
        raise ValueError(
            f"checkpoint {config.start!r} is no {config.model}: it is of architecture {architecture_of(found)!r} "
            f"with the sizes {found.config}; give its own --model"
        )
    model.load_state_dict(found.state_dict())
    return model
