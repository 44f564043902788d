"""Driving many jobs in a dream, in batches of rows; what was driven is kept, and one that fails costs no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from learned_sim_env.data.store import key_of, write_npz
from learned_sim_env.drivers.catalogue import identity, open_driver
from learned_sim_env.drivers.driver import looks
from learned_sim_env.drivers.gaps import gaps_ahead
from learned_sim_env.environments.info import END_REASONS
from learned_sim_env.harness.engine.job import STEPS, Drive, Job, pack, unpack
from learned_sim_env.harness.engine.moments import Moments
from learned_sim_env.harness.engine.perturbed_model import SETTINGS, PerturbedModel
from learned_sim_env.harness.engine.pilot import Pilot
from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.judging import judge
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import CHUNK, Start, Starts
from learned_sim_env.version import __version__
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.protocol import State


class DreamRunner:
    """Drives jobs in a learned world.

    A job's drive does not depend on which others are driven with it, nor on how many, see `Rollout`.

    Args:
        checkpoint: of the world model.
        bank: where jobs start.
        driver: name of who drives, see `drivers.catalogue`; MetaDrive's own cannot drive in a dream.
        rows: of a batch.
        look: draw every step, for drivers that look and for the gap ahead; without, gaps are infinite and nothing is
            drawn unless the driver looks or views are asked for.
        folder: where drives are kept, and looked for before driving; None: nowhere.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        bank: Contexts,
        driver: str,
        rows: int = 128,
        look: bool = True,
        folder: Path | None = None,
    ):
        if rows < 1:
            raise ValueError(f"rows is {rows}; it must be 1 or more")
        self.checkpoint, self.bank, self.rows, self.folder = checkpoint, bank, rows, folder
        self.model = PerturbedModel(checkpoint.model)
        self.driver = driver
        # Opened in any case: a name that nobody has is to be told before anything is driven.
        self.look = looks(open_driver(driver, [0])) or look
        where = next(iter(self.model.initial(1).values())).device
        self._inference = Inference(where, rows)
        # What all drives depend on, whatever the job.
        world = [checkpoint.fingerprint, str(checkpoint.contract.fingerprints()), checkpoint.uncertainty_bound]
        how = [__version__, torch.__version__, str(where), identity(driver), rows, self.look]
        self._world = key_of([*world, *how], bank.arrays().values())
        self._starts = Starts(self.model, bank, self._inference, names=("bev",))

    def run(self, jobs: Sequence[Job], done: Callable[[int], object] | None = None, views: bool = False) -> list[Drive]:
        """The drives of all jobs, in their order.

        Args:
            jobs: to drive.
            done: told how many more are driven.
            views: keep what was seen, (T + 1, H, W) a drive.
        """
        drives: dict[int, Drive] = {}
        for temperature in sorted({job.temperature for job in jobs}):
            which = [i for i, job in enumerate(jobs) if job.temperature == temperature]
            for first in range(0, len(which), self.rows):
                some = which[first : first + self.rows]
                found = self._kept([jobs[i] for i in some], temperature, views)
                drives.update(zip(some, found))
                if done is not None:
                    done(len(some))
        return [drives[i] for i in range(len(jobs))]

    def _kept(self, jobs: list[Job], temperature: float, views: bool) -> list[Drive]:
        if self.folder is None:
            return self._safely(jobs, temperature, views)
        path = self.folder / f"{self._key(jobs, views)}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as file:
                return unpack(dict(file))
        drives = self._safely(jobs, temperature, views)
        # A failure may have been of the moment: it is tried again next time.
        if not any(drive.error for drive in drives):
            write_npz(path, pack(drives))
        return drives

    def _key(self, jobs: list[Job], views: bool) -> str:
        """Of all that the drives depend on."""
        about = [[j.start, j.seed, j.horizon, j.actions, [p.to_dict() for p in j.perturbations]] for j in jobs]
        return key_of([self._world, views, about])

    def _safely(self, jobs: list[Job], temperature: float, views: bool) -> list[Drive]:
        """The drives, those that fail with what failed: halves are driven until the one is found that fails."""
        try:
            return self._batch(jobs, temperature, views)
        except Exception as error:
            if len(jobs) == 1:
                return [Drive.failed(f"{type(error).__name__}: {error}")]
            half = len(jobs) // 2
            return [d for part in (jobs[:half], jobs[half:]) for d in self._safely(part, temperature, views)]

    def _batch(self, jobs: list[Job], temperature: float, keep: bool) -> list[Drive]:
        n, rows = len(jobs), np.arange(len(jobs))
        rollout = Rollout(self.model, self.rows, self._inference, temperature)
        start = self.starts(jobs)
        rollout.start(rows, start, np.array([job.seed for job in jobs]))
        low, high = self.checkpoint.contract.modality("ego").limits
        ego, view = np.clip(start.ego, low, high), rollout.drawn("bev", rows)
        pilot = Pilot(open_driver(self.driver, [job.seed for job in jobs]), jobs)
        horizon = np.array([job.horizon for job in jobs])
        length, end = horizon.copy(), np.full(n, -1)
        columns: dict[str, list[np.ndarray]] = {name: [] for name in STEPS}
        seen = [view]
        actions = np.zeros((self.rows, 2), np.float32)
        for t in range(int(horizon.max())):
            actions[:n] = pilot(view, ego)
            judged = judge(rollout.step(actions), self.checkpoint.contract, self.checkpoint.uncertainty_bound)
            imagined, outcome, ended = judged.imagined, judged.outcome, judged.end[:n]
            finite = imagined.finite[:n]
            if self.look or keep:
                view = rollout.drawn("bev", np.arange(self.rows))[:n]
            ego = np.where(finite[:, None], np.clip(imagined.ego[:n], low, high), ego)
            step = (
                ego,
                imagined.motion[:n],
                actions[:n].copy(),
                outcome.reward_terms[:n],
                outcome.cost_terms[:n],
                imagined.uncertainty[:n],
                np.where(finite, self.model.risk[:n].float().cpu().numpy(), 0.0),
                gaps_ahead(view) if self.look else np.full(n, np.inf, np.float32),
            )
            for name, values in zip(STEPS, step):
                columns[name].append(values)
            seen.append(view if keep else view[:0])
            over = (ended >= 0) & (end < 0) & (t < length)
            end[over], length[over] = ended[over], t + 1
            if (length <= t + 1).all():
                break
        arrays = {name: np.stack(values, 1) for name, values in columns.items()}
        drives = []
        for i in range(n):
            steps = {name: array[i, : length[i]] for name, array in arrays.items()}
            drive = Drive.of(steps, str(END_REASONS[end[i]]))
            if keep:
                drive.views = np.stack([v[i] for v in seen[: length[i] + 1]])
            drives.append(drive)
        return drives

    def starts(self, jobs: Sequence[Job]) -> Start:
        """Where jobs start in the dream, perturbed as they are, with the settings of `PerturbedModel`."""
        moments = []
        for job in jobs:
            moment = Moments.of(self.bank, job.place(self.bank))
            for p in job.perturbations:
                moment = p.moments(moment, self.bank)
            moments.append(moment)
        start = self._warm(moments)
        state = {name: value.clone() for name, value in start.state.items()}
        for i, job in enumerate(jobs):
            for p in job.perturbations:
                partner = p.partner(self.bank)
                if partner is not None:
                    other = self._warm([Moments.of(self.bank, partner)]).state
                    _mix(state, i, other, p.strength, p.rng(), self.model.latent_groups)
                for name, value in p.dream().items():
                    if name in SETTINGS:
                        state[name][i] = value
        return Start(state, start.ego, start.drawn)

    def _warm(self, moments: Sequence[Moments]) -> Start:
        """Always as many at a time, because a batch of another size may round differently."""
        parts = []
        for first in range(0, len(moments), CHUNK):
            some = list(moments[first : first + CHUNK])
            padded = some + [some[-1]] * (CHUNK - len(some))
            views, egos, actions = (np.stack([getattr(m, n) for m in padded]) for n in ("semantic", "ego", "actions"))
            start = self._starts.from_observations({"bev": views, "ego": egos}, actions)
            parts += [start.row(i) for i in range(len(some))]
        return Start.joined(parts)


@torch.inference_mode()
def _mix(
    state: State, row: int, other: State, share: float, rng: np.random.Generator, latents: tuple[int, int]
) -> None:
    """Move the latents of a row, in place, towards those of the only row of another state.

    h moves by `share`; each of the categorical latents, see `protocol.LatentModel`, is taken over with that chance.
    """
    state["h"][row] += share * (other["h"][0] - state["h"][row])
    z = state["z"][row].view(latents)
    taken = torch.from_numpy(rng.random(latents[0]) < share)
    z[taken] = other["z"][0].view(latents)[taken]
