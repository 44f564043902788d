"""The experiment: learn in the dream, drive in the twin. What is trained and judged, and what is read of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from learned_sim_env.drivers.catalogue import SCRIPTED
from learned_sim_env.drivers.metadrive import METADRIVE_DRIVERS
from learned_sim_env.reinforcement.jobs import Job, Judge, Match, Train
from learned_sim_env.reinforcement.recipe import PLACES, Recipe
from learned_sim_env.spec import CONTRACTS, TEST_SCENARIOS, TRAINING_SCENARIOS, unknown

# Drivers that are judged beside the trained ones.
BESIDE = (*METADRIVE_DRIVERS, "careful", "nothing", "throttle", "random")
# And beside those that see cameras: one that sees as little as those without pictures, and one that sees all around.
IN_SIGHT = {"follow-6": "follow-6", "the policy that ships": "dream"}
# Scenarios of whole episodes, by split; those of validation are the ones that `data.splits` holds out.
JUDGED_ON = {"test": TEST_SCENARIOS, "validation": TRAINING_SCENARIOS[9::10]}


@dataclass(frozen=True)
class TransferPlan:
    """The whole experiment."""

    out: Path
    """Where to work and write."""
    checkpoint: str = "bev-rssm"
    """One that ships (bev-rssm, camera-rssm), the path of a folder (./mine), or one on the hub (hf://owner/name). Of a
    model that is shown cameras, policies that see cameras, ego and route alone are trained, and some without pictures.
    """
    steps: int = 100_000
    """Of the environment, that dream and simulator get alike."""
    longer: int | None = None
    """How many times as many the dream gets as well; by default 10, and with cameras no such runs."""
    penalty: float | None = None
    """Weight of the model's doubt in the runs that penalise it; by default 2, and with cameras no such runs."""
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
    """How policies are trained; its own steps, penalty and what is seen are set by the ones above."""

    def __post_init__(self) -> None:
        for name in ("steps", "longer", "seeds", "episodes", "contexts", "repeats", "stretch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; at least 1 is needed")
        if self.split not in JUDGED_ON:
            raise unknown("split", self.split, JUDGED_ON)

    @cached_property
    def contract(self) -> str:
        """Name of the checkpoint's contract, which policies are trained and judged in."""
        from learned_sim_env.world_model.checkpoint import find, read_config

        return read_config(find(self.checkpoint))["contract"]["name"]

    @property
    def cameras(self) -> bool:
        """Whether policies see cameras."""
        return bool(CONTRACTS[self.contract].cameras)

    @property
    def kinds(self) -> dict[str, tuple[str, Recipe]]:
        """Kinds of runs: where, and how."""
        base = replace(self.recipe, steps=self.steps, penalty=0.0, sees="cameras" if self.cameras else "rays")
        kinds = {"dream": ("dream", base), "twin": ("twin", base)}
        if self.cameras:
            # What ego and route are enough for says what pictures are good for.
            kinds |= {f"{place}, no pictures": (place, replace(base, sees="route")) for place in PLACES}
        penalty, longer = self.penalty, self.longer
        if not self.cameras:
            penalty, longer = 2.0 if penalty is None else penalty, 10 if longer is None else longer
        if penalty is not None:
            kinds["dream, doubt penalised"] = "dream", replace(base, penalty=penalty)
        if longer is not None:
            kinds[f"dream, {longer} times the steps"] = "dream", replace(base, steps=longer * self.steps)
        return kinds

    @property
    def best_kind(self) -> str:
        """The kind that has learned longest in the dream, from all that it may see."""
        kinds = {kind: r.steps for kind, (place, r) in self.kinds.items() if place == "dream" and r.sees != "route"}
        return max(kinds, key=lambda kind: kinds[kind])

    @property
    def scenarios(self) -> tuple[int, ...]:
        """Seeds of those in which each driver is evaluated."""
        return tuple(JUDGED_ON[self.split][: self.episodes])

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
        seeds = self.scenarios
        trained = {
            kind: [
                Judge(self.out / "episodes" / f"{run.path.name}.json", str(last_policy(run)), seeds, self.contract)
                for run in runs
            ]
            for kind, runs in self.runs().items()
        }
        return {
            **trained,
            **{
                name: [Judge(self.out / "episodes" / f"{driver}.json", driver, seeds, self.contract)]
                for name, driver in {**{d: d for d in BESIDE}, **(IN_SIGHT if self.cameras else {})}.items()
            },
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
