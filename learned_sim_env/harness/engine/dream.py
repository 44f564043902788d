"""Driving many jobs in a dream, in batches of rows; what was driven is kept, and one that fails costs no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from learned_sim_env.data.store import key_of, write_npz
from learned_sim_env.drivers.catalogue import identity, open_driver
from learned_sim_env.drivers.driver import observed_by
from learned_sim_env.drivers.gaps import gaps_ahead
from learned_sim_env.environments.info import END_REASONS
from learned_sim_env.harness.engine.job import STEPS, DriveResult, Job, pack, unpack
from learned_sim_env.harness.engine.perturbation import RealSteps
from learned_sim_env.harness.engine.perturbed_model import SETTINGS, PerturbedModel
from learned_sim_env.harness.engine.pilot import Pilot
from learned_sim_env.harness.engine.start_pictures import StartPictures
from learned_sim_env.imagination.inference import Inference
from learned_sim_env.imagination.judging import judge
from learned_sim_env.imagination.rollout import Rollout
from learned_sim_env.imagination.starts import CHUNK, Start, Starts
from learned_sim_env.measures.needs import Needs
from learned_sim_env.reporting.pictured import pictured
from learned_sim_env.version import __version__
from learned_sim_env.world_model.checkpoint import Checkpoint
from learned_sim_env.world_model.contexts import Contexts
from learned_sim_env.world_model.protocol import State, device_of


class DreamRunner:
    """Drives jobs in a learned world.

    A job's drive does not depend on which others are driven with it, nor on how many, see `Rollout`.

    Args:
        checkpoint: of the world model.
        bank: where jobs start.
        driver: its name, see `drivers.catalogue`; MetaDrive's own cannot drive in a dream.
        rows: of a batch.
        draw_views: draw the view from above at every step, for the gap ahead; without, or where the model draws no such
            view, gaps are infinite, and nothing is drawn but what the driver needs, unless views are asked for.
        folder: where drives are kept, and looked for before driving; None: nowhere.
        pictures: draws the starts of jobs whose world looks otherwise; None: there are no such jobs.

    Raises:
        ValueError: for a driver that does not exist or needs what the model does not draw, or a bank without the
            modalities that the model observes.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        bank: Contexts,
        driver: str,
        rows: int = 128,
        draw_views: bool = True,
        folder: Path | None = None,
        pictures: StartPictures | None = None,
    ):
        if rows < 1:
            raise ValueError(f"rows is {rows}; it must be 1 or more")
        self.checkpoint, self.bank, self.rows, self.folder = checkpoint, bank, rows, folder
        self.model = PerturbedModel(checkpoint.model)
        self.driver, self.pictures = driver, pictures
        model = checkpoint.model
        # Opened in any case: an unknown name is to be refused before anything is driven.
        self._observes = tuple(name for name in observed_by(open_driver(driver, [0])) if name != "ego")
        if (lacking := Needs(draws=self._observes).lacking(model)) is not None:
            raise ValueError(f"policy {driver} cannot drive in {checkpoint.name}: it needs what {lacking}")
        try:
            bank.check_fit(checkpoint.contract, model.observes, model.context_steps)
        except ValueError as error:
            raise ValueError(f"{checkpoint.name} cannot start where it is asked to: {error}") from error
        # Whether gaps are known.
        self.draw_views = "bev" in model.draws and (draw_views or "bev" in self._observes)
        # What stands for a moment where views are kept.
        self._pictured = pictured(checkpoint.contract, model.draws)
        # What is drawn at every step, and what is then looked at beside it.
        self._draws = tuple(dict.fromkeys((*self._observes, *(("bev",) if self.draw_views else ()))))
        where = device_of(self.model)
        self._inference = Inference(where, rows)
        # What all drives depend on, whatever the job.
        world = [checkpoint.fingerprint, str(checkpoint.contract.fingerprints()), checkpoint.uncertainty_bound]
        how = [__version__, torch.__version__, str(where), identity(driver), rows, self.draw_views]
        self._world = key_of([*world, *how], bank.arrays().values())
        at_start = dict.fromkeys((*self._draws, *((self._pictured,) if self._pictured else ())))
        self._starts = Starts(self.model, bank, self._inference, names=tuple(at_start))

    def run(
        self, jobs: Sequence[Job], done: Callable[[int], object] | None = None, views: bool = False
    ) -> list[DriveResult]:
        """The drives of all jobs, in their order.

        Args:
            jobs: to drive.
            done: called with how many more are driven.
            views: keep what was seen, (T + 1, H, W) class ids a drive, or (T + 1, H, W, 3) frames of a camera where no
                view from above is drawn.
        """
        if self.pictures is not None:
            self.pictures.draw(
                (job.place(self.bank), look) for job in jobs if (look := job.appearance(self.bank)) is not None
            )
        drives: dict[int, DriveResult] = {}
        for temperature in sorted({job.temperature for job in jobs}):
            which = [i for i, job in enumerate(jobs) if job.temperature == temperature]
            for first in range(0, len(which), self.rows):
                some = which[first : first + self.rows]
                found = self._kept([jobs[i] for i in some], temperature, views)
                drives.update(zip(some, found))
                if done is not None:
                    done(len(some))
        return [drives[i] for i in range(len(jobs))]

    def _kept(self, jobs: list[Job], temperature: float, views: bool) -> list[DriveResult]:
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

    def _safely(self, jobs: list[Job], temperature: float, views: bool) -> list[DriveResult]:
        """The drives, those that fail with what failed: halves are driven until the one is found that fails."""
        try:
            return self._batch(jobs, temperature, views)
        except Exception as error:
            if len(jobs) == 1:
                return [DriveResult.failed(f"{type(error).__name__}: {error}")]
            half = len(jobs) // 2
            return [d for part in (jobs[:half], jobs[half:]) for d in self._safely(part, temperature, views)]

    def _batch(self, jobs: list[Job], temperature: float, keep: bool) -> list[DriveResult]:
        n, rows = len(jobs), np.arange(len(jobs))
        rollout = Rollout(self.model, self.rows, self._inference, temperature)
        start = self.starts(jobs)
        rollout.start(rows, start, np.array([job.seed for job in jobs]))
        low, high = self.checkpoint.contract.modality("ego").limits
        names = self._draws
        if keep and self._pictured and self._pictured not in names:
            names = (*names, self._pictured)
        keep = keep and self._pictured is not None

        def drawn() -> dict[str, np.ndarray]:
            return {name: rollout.drawn(name, rows) for name in names}

        # What is shown where drives begin was drawn with their starts.
        ego, pictures = np.clip(start.ego, low, high), drawn()
        scenarios = [int(self.bank.scenarios[job.place(self.bank)]) for job in jobs]
        pilot = Pilot(open_driver(self.driver, [job.seed for job in jobs]), jobs, scenarios)
        horizon = np.array([job.horizon for job in jobs])
        length, end = horizon.copy(), np.full(n, -1)
        columns: dict[str, list[np.ndarray]] = {name: [] for name in STEPS}
        films = [pictures[self._pictured]] if keep and self._pictured else []
        actions = np.zeros((self.rows, 2), np.float32)
        for t in range(int(horizon.max())):
            actions[:n] = pilot({"ego": ego, **pictures})
            judged = judge(rollout.step(actions), self.checkpoint.contract, self.checkpoint.uncertainty_bound)
            imagined, outcome, ended = judged.imagined, judged.outcome, judged.end[:n]
            finite = imagined.finite[:n]
            # All rows at once: a batch of another size may round differently.
            rollout.draw(names)
            pictures = drawn()
            ego = np.where(finite[:, None], np.clip(imagined.ego[:n], low, high), ego)
            step = (
                ego,
                imagined.motion[:n],
                actions[:n].copy(),
                outcome.reward_terms[:n],
                outcome.cost_terms[:n],
                imagined.uncertainty[:n],
                np.where(finite, self.model.risk[:n].float().cpu().numpy(), 0.0),
                gaps_ahead(pictures["bev"]) if self.draw_views else np.full(n, np.inf, np.float32),
            )
            for name, values in zip(STEPS, step):
                columns[name].append(values)
            if keep and self._pictured:
                films.append(pictures[self._pictured])
            over = (ended >= 0) & (end < 0) & (t < length)
            end[over], length[over] = ended[over], t + 1
            if (length <= t + 1).all():
                break
        arrays = {name: np.stack(values, 1) for name, values in columns.items()}
        drives = []
        for i in range(n):
            steps = {name: array[i, : length[i]] for name, array in arrays.items()}
            drive = DriveResult.of(steps, str(END_REASONS[end[i]]))
            if keep:
                drive.views = np.stack([v[i] for v in films[: length[i] + 1]])
            drives.append(drive)
        return drives

    def starts(self, jobs: Sequence[Job]) -> Start:
        """Where jobs start in the dream, perturbed as they are, with the settings of `PerturbedModel`."""
        moments = []
        for job in jobs:
            for p in job.perturbations:
                if (lacking := p.needs.lacking(self.checkpoint.model)) is not None:
                    raise ValueError(f"{p.name} is not applicable: {lacking}")
            moment = self._moment(job)
            for p in job.perturbations:
                moment = p.moments(moment, self.bank)
            moments.append(moment)
        start = self._warm(moments)
        state = {name: value.clone() for name, value in start.state.items()}
        for i, job in enumerate(jobs):
            for p in job.perturbations:
                partner = p.partner(self.bank)
                if partner is not None:
                    other = self._warm([RealSteps.of(self.bank, partner)]).state
                    _mix(state, i, other, p.strength, p.rng(), self.model.latent_groups)
                for name, value in p.dream().items():
                    if name in SETTINGS:
                        state[name][i] = value
        return Start(state, start.ego, start.drawn)

    def _moment(self, job: Job) -> RealSteps:
        """The real steps that a job starts from, as its world looks."""
        place, look = job.place(self.bank), job.appearance(self.bank)
        moment = RealSteps.of(self.bank, place)
        if look is None:
            return moment
        if self.pictures is None:
            raise ValueError(f"{job.name}: no simulator is known that draws its start in another appearance")
        return moment.seeing(self.pictures.of(place, look))

    def _warm(self, moments: Sequence[RealSteps]) -> Start:
        """Always as many at a time, because a batch of another size may round differently."""
        parts = []
        for first in range(0, len(moments), CHUNK):
            some = list(moments[first : first + CHUNK])
            padded = some + [some[-1]] * (CHUNK - len(some))
            last = slice(-self.model.context_steps, None)
            seen = {name: np.stack([m.observations[name][last] for m in padded]) for name in self.model.observes}
            start = self._starts.from_observations(seen, np.stack([m.actions[last] for m in padded]))
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
