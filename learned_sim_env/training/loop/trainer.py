"""The training loop: resumes exactly, on a CPU, a GPU, or several processes started by `torchrun`."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from learned_sim_env.data.dataset import PackedData
from learned_sim_env.files import appending, write_json
from learned_sim_env.films import save_picture
from learned_sim_env.interrupts import postponed
from learned_sim_env.optional import require
from learned_sim_env.training.config import TrainConfig, check_resumes, described
from learned_sim_env.training.loop.curves import Curves
from learned_sim_env.training.loop.schedule import share_of_peak
from learned_sim_env.training.loop.state import load_state, save_state
from learned_sim_env.training.objective import Objective, objective_class
from learned_sim_env.training.processes import Process
from learned_sim_env.training.progress import Progress, time_of_day

# Share of a learning rate's peak at which it ends.
LAST = 0.05


class Loss(nn.Module):
    """The loss as a module, because data parallelism hooks into `forward`."""

    def __init__(self, objective: Objective):
        super().__init__()
        self.model, self._objective = objective.model, objective

    def forward(self, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Objective.loss`."""
        return self._objective.loss(batch)


class Trainer:
    """One process of a run in folder `out`: `state.safetensors`, `run.json`, `metrics.jsonl`, TensorBoard, pictures.

    Args:
        config: the run.
        data: all episodes; training and validation are split by seed.
        out: the run's folder; a run that is there is resumed.
        settings: the architecture's own, of its objective's `settings_class`; None: its defaults.
        device: where to compute, see `Process.device`.
        save_every, log_every, picture_every: in steps.

    Raises:
        ValueError: for an unknown model, a folder with another run, or what the objective cannot begin with, such as
            data of another contract.
        FileNotFoundError: if there is no checkpoint to start with.
    """

    def __init__(
        self,
        config: TrainConfig,
        data: PackedData,
        out: Path,
        settings: Any = None,
        device: str = "cpu",
        save_every: int = 250,
        log_every: int = 20,
        picture_every: int = 1000,
    ):
        kind = objective_class(config.model)
        self.settings = kind.settings_class() if settings is None else settings
        process = Process.started()
        self.rank, self.world = process.rank, process.world
        self.config, self.out, self.device = config, out, process.device(device)
        self.save_every, self.log_every, self.picture_every = save_every, log_every, picture_every
        self.objective: Objective = kind(config, self.settings, data, process, self.device)
        self.objective.cache = out / "cache"
        self.optimizer = torch.optim.AdamW(
            self.objective.parameter_groups(),
            config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=config.weight_decay,
            fused=True,  # a third of the time on a CPU
        )
        self.step, self._metrics, self._ended_early = 0, out / "metrics.jsonl", False
        out.mkdir(parents=True, exist_ok=True)
        self._resume()

    @property
    def model(self) -> Any:
        """The model in training."""
        return self.objective.model

    def run(self) -> None:
        """Train to the last step; returns at once if that was reached before.

        Raises:
            KeyboardInterrupt: when asked to end, once the step is finished and saved.
        """
        with postponed() as asked:
            self._run(asked)
        if self._ended_early:
            raise asked[0] if asked else KeyboardInterrupt

    def _run(self, asked: list[KeyboardInterrupt]) -> None:
        if self.device.type == "cuda":
            # Operations without a device, such as the exchange between processes, would use the first one.
            torch.cuda.set_device(self.device)
        if self.world == 1:
            self._train(asked)
            return
        torch.distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        # What averages the gradients holds the group as well, and has to go first: the group would otherwise end with
        # Python's lock held, and wait for a thread of gloo that needs that lock to release the last tensors.
        self._train(asked)
        torch.distributed.destroy_process_group()

    def _train(self, asked: list[KeyboardInterrupt]) -> None:
        module: nn.Module = Loss(self.objective)
        if self.world > 1:
            module = DistributedDataParallel(module, find_unused_parameters=True)
        curves = Curves(self.out / "tensorboard", self.step) if self.rank == 0 else None
        progress = Progress(self.step, self.config.steps, said=self.rank == 0)
        started = time.time()
        while self.step < self.config.steps:
            parts = self._train_step(module)
            self.step += 1
            progress.advance()
            if self.step % self.log_every == 0 and self.rank == 0:
                self._log(curves, progress, {k: float(v) for k, v in parts.items()}, time.time() - started)
            last = self.step == self.config.steps
            self._ended_early = self._anywhere(bool(asked))
            if self.step % self.save_every == 0 or last or self._ended_early:
                self.save()
            if self._ended_early:
                break
            if self.rank == 0 and (self.step % self.picture_every == 0 or last):
                self._validate(curves)
        progress.close()
        if curves is not None:
            curves.close()

    def _anywhere(self, true: bool) -> bool:
        """Whether it is true in any of the processes, which go on or end together."""
        if self.world == 1:
            return true
        flag = torch.tensor(float(true), device=self.device)
        torch.distributed.all_reduce(flag, torch.distributed.ReduceOp.MAX)
        return bool(flag)

    def hours(self) -> float:
        """Hours of training so far, without interruptions, from the log."""
        total = last = 0.0
        for line in self._metrics.read_text(encoding="utf-8").splitlines() if self._metrics.exists() else ():
            seconds = json.loads(line).get("seconds", last)
            # The clock of a resumed run begins anew.
            total, last = total + (seconds - last if seconds >= last else seconds), seconds
        return total / 3600

    def save(self) -> None:
        """Write everything a resumed run needs; all processes do this together, and the first one writes."""
        memories: list[Any] = [self.objective.memory()]
        if self.world > 1:
            gathered = [None] * self.world if self.rank == 0 else None
            torch.distributed.gather_object(memories[0], gathered)
            memories = gathered or []
        if self.rank == 0:
            save_state(self.out / "state.safetensors", self.model, self.optimizer, self.step, memories)

    def _train_step(self, module: nn.Module) -> dict[str, Tensor]:
        c = self.config
        batch = self.objective.batch(self.step)
        # All randomness of a step follows from its number, so that no generator has to be stored.
        torch.manual_seed((c.seed * 1_000_003 + self.step) * 1_009 + self.rank)
        for group in self.optimizer.param_groups:
            first, end = group.get("span", (0, c.steps))
            learns = first <= self.step < end
            share = share_of_peak(self.step - first, end - first, c.warmup, LAST) if learns else 0.0
            group["lr"] = group["peak"] * share
        self.model.train()
        with self._precision():
            loss, parts = module(batch)
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
        losses: list[dict[str, Tensor]] = []
        for batch in self.objective.validation_batches():
            with self._precision():
                losses.append(self.objective.loss(batch)[1])
        means = {name: sum(float(parts[name]) for parts in losses) / len(losses) for name in losses[0]}
        self._record(curves, "validation", means)
        picture = self.objective.pictures()
        if picture is None:
            return
        require("PIL", extra="train")
        save_picture(self.out / f"dream-{self.step:06d}.png", np.repeat(np.repeat(picture, 2, 0), 2, 1))
        if curves is not None:
            curves.picture("dream", picture, self.step)

    def _log(self, curves: Curves | None, progress: Progress, values: dict[str, float], seconds: float) -> None:
        shown = {"loss": values["total"], **{name: values[name] for name in self.objective.progress}}
        pace = progress.news(self.step, shown)
        self._record(curves, "train", {**values, "seconds": seconds, "steps_per_second": pace})

    def _record(self, curves: Curves | None, kind: str, values: dict[str, float]) -> None:
        with appending(self._metrics) as file:
            file.write(json.dumps({"step": self.step, "kind": kind, "time": time_of_day(), **values}) + "\n")
        if curves is not None:
            curves.numbers(kind, values, self.step)

    def _resume(self) -> None:
        settings = described(self.config, self.settings)
        run, state = self.out / "run.json", self.out / "state.safetensors"
        if run.exists():
            check_resumes(settings, json.loads(run.read_text(encoding="utf-8")), self.out)
        if state.exists():
            self.step, memory = load_state(state, self.model, self.optimizer, self.rank)
            if memory:
                self.objective.recall(memory)
            if self.step > self.config.steps:
                raise ValueError(f"{self.out} is already at step {self.step}, beyond the {self.config.steps} asked for")
        if self.rank == 0:
            write_json(run, settings)
