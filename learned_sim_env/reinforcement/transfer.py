"""The experiment: learn in the dream, drive in the twin. What is trained and judged, and what is read of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from learned_sim_env.drivers.catalogue import SCRIPTED
from learned_sim_env.drivers.metadrive import METADRIVE_DRIVERS
from learned_sim_env.reinforcement.jobs import Job, Judge, Match, Train
from learned_sim_env.reinforcement.recipe import Recipe
from learned_sim_env.spec import TEST_SCENARIOS, TRAINING_SCENARIOS, unknown

# Drivers that are judged beside the trained ones.
BESIDE = (*METADRIVE_DRIVERS, "careful", "nothing", "throttle", "random")
# Scenarios of whole episodes, by split; those of validation are the ones that `data.splits` holds out.
JUDGED_ON = {"test": TEST_SCENARIOS, "validation": TRAINING_SCENARIOS[9::10]}


@dataclass(frozen=True)
class TransferPlan:
    """The whole experiment."""

    out: Path
    """Where to work and write."""
    checkpoint: str = "bev-rssm"
    """One that ships, the path of a folder (./mine), or one on the hub (hf://owner/name)."""
    steps: int = 100_000
    """Of the environment, that dream and simulator get alike."""
    longer: int = 10
    """How many times as many the dream gets as well."""
    penalty: float = 2.0
    """Weight of the model's doubt in the runs that penalise it."""
    seeds: int = 3
    """Runs of each kind."""
    episodes: int = 100
    """Whole episodes in which each driver is evaluated."""
    split: str = "test"
    """Scenarios to evaluate on: test, or validation for trials of settings, which must not be chosen on test seeds."""
    contexts: int = 96
    """Moments from which policies are ranked."""
    repeats: int = 4
    """Times each of them is dreamt."""
    stretch: int = 100
    """Steps of 0.1 s driven from each."""
    most_steps: int = 150
    """Moments that are further into their scenario are left out, because the simulator has to be driven there."""
    recipe: Recipe = field(default_factory=Recipe)
    """How policies are trained; its own steps and penalty are set by the ones above."""

    def __post_init__(self) -> None:
        for name in ("steps", "longer", "seeds", "episodes", "contexts", "repeats", "stretch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        if self.split not in JUDGED_ON:
            raise unknown("split", self.split, JUDGED_ON)

    @property
    def kinds(self) -> dict[str, tuple[str, Recipe]]:
        """Kinds of runs: where, and how."""
        base = replace(self.recipe, steps=self.steps, penalty=0.0)
        return {
            "dream": ("dream", base),
            "twin": ("twin", base),
            "dream, doubt penalised": ("dream", replace(base, penalty=self.penalty)),
            f"dream, {self.longer} times the steps": ("dream", replace(base, steps=self.longer * self.steps)),
        }

    def runs(self) -> dict[str, list[Train]]:
        """The runs of each kind."""
        return {
            kind: [
                Train(self.out / "runs" / f"{_plain(kind)}-{seed}", place, recipe, seed, self.checkpoint)
                for seed in range(self.seeds)
            ]
            for kind, (place, recipe) in self.kinds.items()
        }

    def judged(self) -> dict[str, list[Judge]]:
        """Whole episodes of the trained, a list of runs each, and of those beside them."""
        seeds = tuple(JUDGED_ON[self.split][: self.episodes])
        trained = {
            kind: [Judge(self.out / "episodes" / f"{run.path.name}.json", str(last_policy(run)), seeds) for run in runs]
            for kind, runs in self.runs().items()
        }
        return {
            **trained,
            **{name: [Judge(self.out / "episodes" / f"{name}.json", name, seeds)] for name in BESIDE},
        }

    def ranked(self) -> dict[str, Match]:
        """Stretches from the same moments, of policies of all qualities that need no simulator.

        Of each run the last policy: those on its way earn so nearly the same that they have no order.
        """
        drivers = {name: name for name in SCRIPTED}
        for runs in self.runs().values():
            drivers |= {ranked_name(run): str(last_policy(run)) for run in runs}
        return {
            name: Match(
                self.out / "matched" / f"{_plain(name)}.json",
                driver,
                self.checkpoint,
                self.contexts,
                self.repeats,
                self.stretch,
                self.most_steps,
            )
            for name, driver in drivers.items()
        }

    def stages(self) -> list[tuple[str, list[Job]]]:
        """What is to be done, in this order: the later ones need the earlier ones' policies."""
        return [
            ("train", [job for jobs in self.runs().values() for job in jobs]),
            ("judge", [job for jobs in self.judged().values() for job in jobs]),
            ("rank", list(self.ranked().values())),
        ]


def last_policy(run: Train) -> Path:
    """The file of a run's last policy."""
    return run.path / f"policy-{run.recipe.saved_steps[-1]}.safetensors"


def ranked_name(run: Train) -> str:
    """What a run's last policy is called in the ranking."""
    return f"{run.path.name}, {run.recipe.saved_steps[-1]} steps"


def _plain(name: str) -> str:
    return name.replace(",", "").replace(" ", "-")
