"""The training loop: resumes exactly, on a CPU, a GPU, or several processes started by `torchrun`."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.files import appending, write_json
from learned_sim_env.films import save_picture
from learned_sim_env.interrupts import postponed
from learned_sim_env.optional import require
from learned_sim_env.spec import CONTRACTS, unknown
from learned_sim_env.training.batches import Batch, Paths, WindowSampler
from learned_sim_env.training.config import LossConfig, TrainConfig
from learned_sim_env.training.curves import Curves
from learned_sim_env.training.pictures import film_strips
from learned_sim_env.training.processes import Process
from learned_sim_env.training.rssm.losses import window_loss
from learned_sim_env.training.schedule import share_of_peak
from learned_sim_env.training.state import load_state, save_state
from learned_sim_env.world_model.checkpoint import from_pretrained
from learned_sim_env.world_model.contexts import CONTEXT_STEPS
from learned_sim_env.world_model.rssm.config import SIZES as MODELS
from learned_sim_env.world_model.rssm.model import DrivingRSSM

# Share of a learning rate's peak at which it ends.
LAST = 0.05


class WindowLoss(nn.Module):
    """The loss as a module, because data parallelism hooks into `forward`."""

    def __init__(self, model: DrivingRSSM, config: LossConfig):
        super().__init__()
        self.model, self.config = model, config

    def forward(self, batch: Batch, paths: Paths) -> tuple[Tensor, dict[str, Tensor]]:
        """See `window_loss`."""
        return window_loss(self.model, batch, paths, self.config)


class Trainer:
    """One process of a run in folder `out`: `state.safetensors`, `run.json`, `metrics.jsonl`, TensorBoard, pictures.

    Args:
        config: the run.
        data: all episodes; training and validation are split by seed.
        out: the run's folder; a run that is there is gone on with.
        device: where to compute, see `Process.device`.
        save_every, log_every, picture_every: in steps.

    Raises:
        ValueError: for an unknown model, data of another contract, a folder with another run, a checkpoint to start
            with that is damaged or of another architecture, or batches that the processes cannot share evenly.
        FileNotFoundError: if there is no checkpoint to start with.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: PackedData,
        out: Path,
        device: str = "cpu",
        save_every: int = 250,
        log_every: int = 20,
        picture_every: int = 1000,
    ):
        if config.model not in MODELS:
            raise unknown("model", config.model, MODELS)
        process = Process.started()
        self.rank, self.world = process.rank, process.world
        self.config, self.out, self.device = config, out, process.device(device)
        self.save_every, self.log_every, self.picture_every = save_every, log_every, picture_every
        self._windows, self._path_windows = (
            process.share(name, getattr(config, name)) for name in ("batch_size", "path_batch")
        )
        contract = CONTRACTS["driving"]
        data.check_contract(contract)
        horizons = (config.horizon, config.path_horizon)
        self.train_data, self.train_paths = (
            WindowSampler(data.split("train"), CONTEXT_STEPS, horizon, contract.dt) for horizon in horizons
        )
        self.validation, self.validation_paths = (
            WindowSampler(data.split("validation"), CONTEXT_STEPS, horizon, contract.dt) for horizon in horizons
        )
        torch.manual_seed(config.seed)
        self.model = DrivingRSSM(MODELS[config.model], contract).to(self.device)
        if config.start:
            _begin_with(self.model, config.start, config.model)
        self.model.ego_path.top_speed.fill_(self.train_data.top_speed)
        path = list(self.model.ego_path.parameters())
        others = [p for name, p in self.model.named_parameters() if not name.startswith("ego_path.")]
        groups = [{"params": others, "peak": config.learning_rate}, {"params": path, "peak": config.path_learning_rate}]
        self.optimizer = torch.optim.AdamW(
            groups, config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )
        self.step, self._metrics, self._ended_early = 0, out / "metrics.jsonl", False
        out.mkdir(parents=True, exist_ok=True)
        self._resume()

    def run(self) -> None:
        """Train to the last step; returns at once where that was reached before.

        Raises:
            KeyboardInterrupt: when asked to end, once the step is finished and saved.
        """
        with postponed() as asked:
            self._run(asked)
        if self._ended_early:
            raise asked[0] if asked else KeyboardInterrupt

    def _run(self, asked: list[KeyboardInterrupt]) -> None:
        module: nn.Module = WindowLoss(self.model, self.config.loss)
        if self.device.type == "cuda":
            # What names no device, as the exchange between processes, would be on the first one.
            torch.cuda.set_device(self.device)
        if self.world > 1:
            torch.distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
            module = DistributedDataParallel(module, find_unused_parameters=True)
        curves = Curves(self.out / "tensorboard", self.step) if self.rank == 0 else None
        bar = tqdm(total=self.config.steps, initial=self.step, unit="step", disable=self.rank > 0, smoothing=0.05)
        started = time.time()
        while self.step < self.config.steps:
            parts = self._train_step(module)
            self.step += 1
            bar.update()
            if self.step % self.log_every == 0 and self.rank == 0:
                self._log(curves, bar, {k: float(v) for k, v in parts.items()}, time.time() - started)
            last = self.step == self.config.steps
            self._ended_early = self._anywhere(bool(asked))
            if self.rank == 0 and (self.step % self.save_every == 0 or last or self._ended_early):
                self.save()
            if self._ended_early:
                break
            if self.rank == 0 and (self.step % self.picture_every == 0 or last):
                self._validate(curves)
        bar.close()
        if curves is not None:
            curves.close()
        if self.world > 1:
            # A thread of gloo's needs Python's lock to let go of what was reduced last, and ending the group holds that
            # lock while it waits for the thread. It is free while processes wait for each other here.
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()

    def _anywhere(self, true: bool) -> bool:
        """Whether it is true in any of the processes, which go on or end together."""
        if self.world == 1:
            return true
        flag = torch.tensor(float(true), device=self.device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        return bool(flag)

    def hours(self) -> float:
        """Hours that were trained so far, interruptions left out, by the log."""
        total = last = 0.0
        for line in self._metrics.read_text(encoding="utf-8").splitlines() if self._metrics.exists() else ():
            seconds = json.loads(line).get("seconds", last)
            # The clock of a resumed run begins anew.
            total, last = total + (seconds - last if seconds >= last else seconds), seconds
        return total / 3600

    def save(self) -> None:
        """Write everything a resumed run needs."""
        save_state(self.out / "state.safetensors", self.model, self.optimizer, self.step)

    def _train_step(self, module: nn.Module) -> dict[str, Tensor]:
        c = self.config
        batch = self.train_data.sample(self._windows, c.seed, self.step, self.rank).to(self.device)
        paths = self.train_paths.sample_paths(self._path_windows, c.seed, self.step, self.rank).to(self.device)
        # All chance of a step comes from its number, so nothing about chance has to be stored to resume.
        torch.manual_seed((c.seed * 1_000_003 + self.step) * 1_009 + self.rank)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share_of_peak(self.step, c.steps, c.warmup, LAST)
        self.model.train()
        with self._precision():
            loss, parts = module(batch, paths)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), c.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        return {**parts, "total": loss.detach(), "gradient_norm": norm.detach()}

    def _precision(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16) if self.config.bf16 else nullcontext()

    @torch.no_grad()
    def _validate(self, curves: Curves | None) -> None:
        """Losses on fixed windows of unseen maps, and pictures of some of them."""
        self.model.eval()
        torch.manual_seed(0)
        sums: dict[str, float] = {}
        batches = 4
        for i in range(batches):
            batch = self.validation.sample(16, 0, i).to(self.device)
            paths = self.validation_paths.sample_paths(256, 0, i).to(self.device)
            with self._precision():
                _, parts = window_loss(self.model, batch, paths, self.config.loss)
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + float(value) / batches
        self._record(curves, "validation", sums)
        batch = self.validation.windows(np.linspace(0, self.validation.total - 1, 8).astype(np.int64)).to(self.device)
        picture = film_strips(self.model, batch)
        require("PIL", extra="train")
        save_picture(self.out / f"dream-{self.step:06d}.png", np.repeat(np.repeat(picture, 2, 0), 2, 1))
        if curves is not None:
            curves.picture("dream", picture, self.step)

    def _log(self, curves: Curves | None, bar: Any, values: dict[str, float], seconds: float) -> None:
        bar.set_postfix(loss=f"{values['total']:.2f}", map=f"{values['map']:.3f}", motion=f"{values['motion']:.2f}")
        self._record(curves, "train", {**values, "seconds": seconds})

    def _record(self, curves: Curves | None, kind: str, values: dict[str, float]) -> None:
        with appending(self._metrics) as file:
            file.write(json.dumps({"step": self.step, "kind": kind, **values}) + "\n")
        if curves is not None:
            curves.numbers(kind, values, self.step)

    def _resume(self) -> None:
        run, state = self.out / "run.json", self.out / "state.safetensors"
        if run.exists():
            self.config.check_resumes(json.loads(run.read_text(encoding="utf-8")), self.out)
        if state.exists():
            self.step = load_state(state, self.model, self.optimizer)
            if self.step > self.config.steps:
                raise ValueError(f"{self.out} is already at step {self.step}, beyond the {self.config.steps} asked for")
        if self.rank == 0:
            write_json(run, asdict(self.config))


def _begin_with(model: DrivingRSSM, start: str, name: str) -> None:
    """Give `model` the weights of a checkpoint, as they were learned."""
    found = from_pretrained(start, contract=model.contract).model
    if found.config != model.config:
        raise ValueError(f"checkpoint {start!r} is no {name}: its sizes are {found.config}; give its own --model")
    model.load_state_dict(found.state_dict())
    # What was fitted when the other run was finished will be fitted anew.
    model.births.likelier.zero_()
