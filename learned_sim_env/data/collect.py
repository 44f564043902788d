"""Collection of a data set: many seeds on many worker processes, resumable, ending in one Minari dataset.

A collection folder holds `episodes/<seed>.npz` (what is resumed from), `collection.json` (its settings), `data/` (the
Minari dataset made of all episodes) and `summary.json`. See `store.minari_id` for what Minari calls it.
"""

from __future__ import annotations

import copy
import json
import re
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from learned_sim_env.data.engines import LOCAL, Engine
from learned_sim_env.data.episode import MODALITIES
from learned_sim_env.data.episode_task import EpisodeTask
from learned_sim_env.data.splits import COLLECTED_SPLITS
from learned_sim_env.data.store import EpisodeFolder, is_minari, minari_id, read_minari_seeds, write_minari
from learned_sim_env.data.summary import Summary
from learned_sim_env.files import remove_unfinished, write_json
from learned_sim_env.locks import alone_in
from learned_sim_env.optional import require
from learned_sim_env.registration import declarations
from learned_sim_env.settings import parse_settings
from learned_sim_env.simulators import NEEDED, SIMULATORS
from learned_sim_env.spec import CONTRACTS, Contract, Fingerprints, unknown

# Where a server is says nothing about what is recorded there.
WHERE = ("host", "port")
EPISODES = "episodes"


@dataclass(frozen=True)
class CollectConfig:
    """What to collect and where to.

    The episodes of a split have consecutive seeds from the split's first seed + `seed_start` on. settings: "name=value"
    of the simulator's own, values as JSON or plain text. flat: write a second dataset beside it, see `flat_folder`.
    contract: a name in `CONTRACTS`; "" for the first that has the `modalities`. modalities: to record, if not what the
    contract's environments show and the view from above.
    """

    out: Path
    episodes: int
    simulator: str = "metadrive"
    split: str = "train"
    seed_start: int = 0
    max_steps: int = CONTRACTS["driving"].max_episode_steps
    workers: int = 2
    settings: tuple[str, ...] = ()
    flat: bool = False
    contract: str = ""
    modalities: tuple[str, ...] = ()
    engine: Engine = LOCAL

    def __post_init__(self) -> None:
        if self.contract and self.contract not in CONTRACTS:
            raise unknown("contract", self.contract, CONTRACTS)
        if self.modalities and not {"ego"} <= set(self.names):
            raise ValueError(f"modalities {', '.join(self.modalities)} are without ego, which every episode needs")
        if self.flat and not {"bev", "ego"} <= set(self.names):
            raise ValueError("flat observations are made of bev and ego: record these modalities")
        if self.simulator not in SIMULATORS:
            raise unknown("simulator", self.simulator, SIMULATORS)
        if self.split not in COLLECTED_SPLITS:
            raise unknown("split", self.split, COLLECTED_SPLITS)
        if self.episodes < 1 or self.max_steps < 1:
            raise ValueError(f"episodes is {self.episodes} and max_steps {self.max_steps}; both must be at least 1")
        if self.simulator == "carla" and self.workers > 1:
            raise ValueError(f"a CARLA server serves one environment, not {self.workers}: collect with 1 worker")
        self.simulator_settings()
        allowed = COLLECTED_SPLITS[self.split]
        if self.seed_start < 0 or allowed.start + self.seed_start + self.episodes > allowed.stop:
            raise ValueError(
                f"seed_start {self.seed_start} with {self.episodes} episodes leaves the seeds of the {self.split} "
                f"split, {allowed.start} to {allowed.stop - 1}"
            )

    @property
    def seeds(self) -> range:
        """The seeds asked for."""
        first = COLLECTED_SPLITS[self.split].start + self.seed_start
        return range(first, first + self.episodes)

    def simulator_settings(self) -> dict[str, Any]:
        """`settings` as keyword arguments; `ValueError` for one that is not "name=value"."""
        return parse_settings(self.settings)

    @property
    def kept(self) -> Contract:
        """The contract that the episodes keep. `ValueError` if there is none with such modalities."""
        wanted = set(self.modalities)
        candidates = [CONTRACTS[self.contract]] if self.contract else list(CONTRACTS.values())
        for contract in candidates:
            if wanted <= {m.name for m in contract.modalities}:
                return contract
        known = dict.fromkeys(m.name for contract in candidates for m in contract.modalities)
        unheard = [name for name in self.modalities if name not in known]
        if unheard:
            raise unknown("modality", unheard[0], known)
        raise ValueError(f"no contract has the modalities {', '.join(self.modalities)} together")

    @property
    def names(self) -> tuple[str, ...]:
        """Modalities to record, in the contract's order."""
        contract = self.kept
        wanted = self.modalities or (*contract.observation, *MODALITIES)
        return tuple(m.name for m in contract.modalities if m.name in wanted)

    def task(self, folder: Path) -> EpisodeTask:
        """What workers do, writing into `folder`."""
        settings = self.simulator_settings()
        return EpisodeTask(self.simulator, self.max_steps, folder, settings, self.kept.name, self.names)

    @property
    def flat_folder(self) -> Path:
        """Beside `out`, for a dataset of the same episodes with flat observations: `<name>-flat-v<n>`."""
        stem, version = re.fullmatch(r"(.*?)(-v\d+)?", self.out.resolve().name).groups()  # type: ignore[union-attr]
        return self.out.resolve().with_name(f"{stem}-flat{version or '-v0'}")

    def env_spec(self, obs_type: str) -> EnvSpec | None:
        """The spec of the environment of these episodes; None for a simulator that no id declares."""
        contract = self.kept
        fitting = [
            d for d in declarations().values() if d.backend == self.simulator and d.form == ("dict", "continuous")
        ]
        # One of this contract if there is one: others are told to keep it.
        for declaration in sorted(fitting, key=lambda d: d.contract != contract.name):
            own = {k: v for k, v in self.simulator_settings().items() if k not in WHERE}
            if declaration.contract != contract.name:
                own["contract"] = contract.name
            if obs_type != "flat" and set(self.names) != set(contract.observation):
                own["modalities"] = list(self.names)
            spec = copy.deepcopy(gym.spec(declaration.id))
            spec.kwargs = {**spec.kwargs, **own, "obs_type": obs_type}
            spec.max_episode_steps = self.max_steps
            return spec
        return None

    def lasting(self) -> dict[str, Any]:
        """The settings that all episodes of one folder share."""
        shared = {name: asdict(self)[name] for name in ("simulator", "split", "max_steps")}
        shared["settings"] = {k: v for k, v in self.simulator_settings().items() if k not in WHERE} or None
        return {**shared, "contract_fingerprint": str(self.kept.fingerprints(self.names))}


def collect(config: CollectConfig) -> Summary:
    """Record the seeds that are not there yet, then bring the Minari dataset and the summary up to date.

    Episodes finished before an error or an interrupt stay, and the next call goes on from them.

    Raises:
        ValueError, OSError: for settings that the simulator refuses, or when the folder holds a collection with others.
        ImportError: when the simulator or Minari is not installed.
        RuntimeError: when workers cannot start or keep failing, see `workers.run_seeds`.
        BlockingIOError: when another process collects into the folder.
        DiskFull: when there is no space.
    """
    # Rather now than in every worker, or at the end; and before a folder is marked with settings that are wrong.
    require(*NEEDED.get(config.simulator, (config.simulator, config.simulator)))
    require("minari", extra="train")
    config.task(config.out / EPISODES).env().close()
    with alone_in(config.out):
        return _collect(config)


def is_collected(config: CollectConfig) -> bool:
    """Whether the collection in `config.out` has all episodes that are asked for, whatever Minari calls it.

    Raises `ValueError` when it was made with other settings.
    """
    if not (config.out / "data" / "metadata.json").exists():
        return False
    _check_settings(config)
    return set(config.seeds) <= set(read_minari_seeds(config.out / "data"))


def _collect(config: CollectConfig) -> Summary:
    from tqdm import tqdm

    _check_settings(config)
    folder = EpisodeFolder(config.out / EPISODES)
    remove_unfinished(folder.path)
    remove_unfinished(config.out, "data")
    present = set(folder.seeds())
    todo = [seed for seed in config.seeds if seed not in present]
    frames, failed, start = 0, {}, time.monotonic()
    with (
        closing(config.engine.run_seeds(config.task(folder.path), todo, config.workers)) as results,
        tqdm(total=config.episodes, initial=config.episodes - len(todo), unit="episode", smoothing=0.02) as bar,
    ):
        for result in results:
            if result.failure:
                failed[result.seed] = result.failure.reason
                bar.write(f"seed {result.seed} skipped: {result.failure.reason}")
            frames += result.steps
            bar.update()
            bar.set_postfix(frames=frames, fps=f"{frames / (time.monotonic() - start):.0f}", failed=len(failed))
    frames_per_second = frames / (time.monotonic() - start)
    return _finish(config, folder, failed, frames_per_second)


def _check_settings(config: CollectConfig) -> None:
    path = config.out / "collection.json"
    if not path.exists():
        write_json(path, config.lasting())
        return
    there = json.loads(path.read_text(encoding="utf-8"))
    for name, value in config.lasting().items():
        if name == "contract_fingerprint" and _same_contract(there.get(name), value):
            continue
        if there.get(name) != value:
            raise ValueError(
                f"{config.out} holds a collection with {name} {there.get(name)!r}, not {value!r}: "
                "use its settings or another folder"
            )


def _same_contract(written: Any, value: str) -> bool:
    """Whether fingerprints are the same, be they of an earlier version of the package."""
    try:
        return Fingerprints.parse(written) == Fingerprints.parse(value)
    except ValueError:
        return False


def _finish(config: CollectConfig, folder: EpisodeFolder, failed: dict[int, str], frames_per_second: float) -> Summary:
    summary = Summary(failed=failed, frames_per_second=frames_per_second)
    if folder.seeds():
        _write(config, config.out, "classes", folder)
        if config.flat:
            _write(config, config.flat_folder, "flat", folder)
    for episode in folder:
        summary.add(episode)
    write_json(config.out / "summary.json", summary.to_dict())
    return summary


def _write(config: CollectConfig, out: Path, obs_type: str, folder: EpisodeFolder) -> None:
    """Bring the Minari dataset in `out` up to date."""
    part = "" if obs_type == "classes" else f"-{obs_type}"
    dataset_id = minari_id(out, otherwise=f"{config.simulator}-{config.split}{part}-v0")
    env_spec, path = config.env_spec(obs_type), out / "data"
    if is_minari(path, dataset_id, env_spec, folder.seeds()):
        return
    out.mkdir(parents=True, exist_ok=True)
    description = f"Driving in {config.simulator} by several behaviours, crashes included, {config.split} seeds."
    write_minari(path, folder, dataset_id, description, env_spec, obs_type, config.kept, config.names)
