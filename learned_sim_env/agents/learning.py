"""The loop that trains an agent: resumes exactly, keeps policies on the way, shows how far it is."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from learned_sim_env.agents.agent import open_agent
from learned_sim_env.agents.settings import METRICS, POLICY, RUN, STATE, DreamSettings, LearnConfig
from learned_sim_env.data.packed import PackedData
from learned_sim_env.files import appending, write_json, write_text
from learned_sim_env.interrupts import postponed
from learned_sim_env.reporting.display import rate
from learned_sim_env.training.config import check_resumes, described
from learned_sim_env.training.loop.curves import Curves
from learned_sim_env.training.loop.state import load_state, save_state
from learned_sim_env.world_model.checkpoint import Checkpoint


class Learner:
    """A run in folder `out`: `state.safetensors`, `run.json`, `metrics.jsonl`, TensorBoard, and policies.

    Policies on the way are `policy-<updates>.safetensors`. `run.json` holds the "settings", "model" (the world model's
    SHA-256) and how far the run is: "updates", "steps" (that were learned from), "seconds" of wall-clock, "cpu_seconds"
    of the process, and "saved", these numbers at each policy that was kept.

    Args:
        config: the run.
        settings: the agent's own.
        checkpoint: the world model.
        out: the run's folder; a run that is there is resumed.
        data: recorded episodes, for agents that learn from these.
        save_every, log_every: in updates.

    Raises:
        ValueError: for an unknown agent, a folder with another run, or an agent that lacks its data.
    """

    def __init__(
        self,
        config: LearnConfig,
        settings: Any,
        checkpoint: Checkpoint,
        out: Path,
        data: PackedData | None = None,
        save_every: int = 100,
        log_every: int = 10,
    ):
        self.config, self.out, self.save_every, self.log_every = config, out, save_every, log_every
        if isinstance(settings, DreamSettings):
            settings = settings.suited(checkpoint.model)
        asked = described(config, settings)
        stored: dict[str, Any] = {}
        if (out / RUN).is_file():
            stored = json.loads((out / RUN).read_text(encoding="utf-8"))
            check_resumes(asked, stored["settings"], out, may_differ=("updates", "minutes", "steps", "saves"))
            check_resumes({"model": checkpoint.fingerprint}, stored, out)
        self.agent = open_agent(config, settings, checkpoint, data)
        begun = {"updates": 0, "steps": 0, "seconds": 0.0, "cpu_seconds": 0.0, "saved": []}
        self.progress = {**begun, **stored, "settings": asked, "model": checkpoint.fingerprint}
        if (out / STATE).is_file():
            self.progress["updates"], memory = load_state(out / STATE, self.agent.module, self.agent.optimizer)
            self.agent.recall(memory)
        _leave_out(out / METRICS, self.progress["updates"])
        self._numbers: list[dict[str, float]] = []
        write_json(out / RUN, self.progress)

    @property
    def share(self) -> float:
        """Of the run, what is done; 1 or more when it is over."""
        done = {**self.progress, "minutes": self.progress["seconds"] / 60}
        limits = {name: getattr(self.config, name) for name in ("updates", "minutes", "steps")}
        return max(done[name] / limit for name, limit in limits.items() if limit)

    def run(self) -> None:
        """Learn to the end of the run; returns at once if that was reached before.

        Raises:
            KeyboardInterrupt: when asked to end, once the update is finished and saved.
        """
        if self.share >= 1:
            return
        with postponed() as asked:
            self._run(asked)
        if self.share < 1:
            raise asked[0] if asked else KeyboardInterrupt

    def _run(self, asked: list[KeyboardInterrupt]) -> None:
        done, c = self.progress, self.config
        # What the bar counts: what is likeliest to end the run.
        counted, total = ("seconds", round(60 * c.minutes)) if c.minutes else ("updates", c.updates)
        if c.steps and not c.minutes:
            counted, total = "steps", c.steps
        curves = Curves(self.out / "tensorboard", done["updates"])
        with tqdm(
            total=total,
            initial=round(done[counted]),
            unit={"seconds": "s", "steps": "step", "updates": "update"}[counted],
            smoothing=0.05,
        ) as bar:
            while self.share < 1 and not asked:
                wall, processor, before = time.perf_counter(), time.process_time(), self.share
                numbers = self.agent.update(done["updates"])
                done["updates"] += 1
                done["steps"] += round(numbers["steps"])
                done["seconds"] += time.perf_counter() - wall
                done["cpu_seconds"] += time.process_time() - processor
                bar.update(round(done[counted]) - bar.n)
                self._numbers.append(numbers)
                if done["updates"] % self.log_every == 0 or self.share >= 1:
                    self._log(curves, bar)
                kept = any(before < 0.5**i <= self.share for i in range(1, self.config.saves))
                if kept:
                    self._keep(self.out / f"policy-{done['updates']}.safetensors")
                if self.share >= 1:
                    self._keep(self.out / POLICY)
                if kept or done["updates"] % self.save_every == 0 or self.share >= 1 or asked:
                    self.save()
        curves.close()

    def save(self) -> None:
        """Write everything a resumed run needs."""
        agent = self.agent
        save_state(self.out / STATE, agent.module, agent.optimizer, self.progress["updates"], [agent.memory()])
        write_json(self.out / RUN, self.progress)

    def _keep(self, path: Path) -> None:
        """Write the policy as it is now."""
        known = {name: self.progress[name] for name in ("updates", "steps", "seconds", "cpu_seconds")}
        self.agent.policy({**known, "settings": self.progress["settings"]}).save(path)
        # A run that was killed before it was saved comes here again.
        others = [saved for saved in self.progress["saved"] if saved["policy"] not in (path.name, POLICY)]
        self.progress["saved"] = [*others, {"policy": path.name, **known}]

    def _log(self, curves: Curves, bar: Any) -> None:
        """Tell means of the updates since this was last done."""
        done, told = self.progress, _means(self._numbers)
        self._numbers = []
        numbers = {**told, "seconds": done["seconds"], "cpu_seconds": done["cpu_seconds"]}
        shown = {n: f"{numbers[n]:.3g}" for n in self.agent.progress if n in numbers}
        bar.set_postfix({**shown, "steps/s": rate(done["steps"], done["seconds"])})
        with appending(self.out / METRICS) as file:
            file.write(json.dumps({"update": done["updates"], **numbers}) + "\n")
        curves.numbers(self.config.agent, numbers, done["updates"])


def _means(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each number that the last of several updates gives."""
    return {name: sum(n[name] for n in several if name in n) / sum(name in n for n in several) for name in several[-1]}


def _leave_out(path: Path, updates: int) -> None:
    """What was logged after an update from which a run now goes on."""
    if not path.is_file():
        return
    rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    # The last one may have been broken off.
    kept = [row for row in rows if row.endswith("\n") and json.loads(row)["update"] <= updates]
    if len(kept) < len(rows):
        write_text(path, "".join(kept))
