"""The worker pool on a cluster of several Ray nodes, of which one is killed; nodes are processes of this machine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from learned_sim_env.data.engines import Engine
from learned_sim_env.data.workers import Result, Task
from learned_sim_env.failures import WorkerError

ray = pytest.importorskip("ray", reason="Ray is not installed")

pytestmark = pytest.mark.slow

RAY = Engine("ray")


@dataclass(frozen=True)
class Writes:
    """A task that takes `seconds`, writes two files and may misbehave, as `test_workers.Trouble`."""

    folder: Path
    seconds: float = 0.0
    raises: tuple[int, ...] = ()
    killed: tuple[int, ...] = ()
    hangs: tuple[int, ...] = ()
    starts: bool = True
    about: dict[str, Any] = field(default_factory=dict)

    def __call__(self) -> Task:
        if not self.starts:
            raise ImportError("no simulator here")
        return self.task

    def task(self, seed: int) -> int:
        if seed in self.raises:
            raise ValueError(f"seed {seed} is bad")
        if seed in self.killed:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60 if seed in self.hangs else self.seconds)
        (self.folder / "inner").mkdir(exist_ok=True)
        (self.folder / "inner" / f"{seed}.bin").write_bytes(bytes([seed]) * 1000)
        (self.folder / f"{seed}.json").write_text(str(seed))
        return seed * 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without CPUs for actors, and two nodes with one each."""
    from ray.cluster_utils import Cluster

    here = Path(__file__).parents[2]
    # Actors are to find this package, and these tests.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(here), os.environ.get("PYTHONPATH", "")])
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=made.address, log_to_driver=False)
    made.wait_for_nodes()
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def written(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_errors_and_deaths_cost_their_seed_only(cluster, tmp_path):
    task = Writes(tmp_path, raises=(1,), killed=(3,))
    results = {r.seed: r for r in RAY.run_seeds(task, range(5), workers=2)}
    assert {seed: r.steps for seed, r in results.items() if not r.failure} == {0: 0, 2: 20, 4: 40}
    assert results[1].failure.reason == "seed 1 is bad" and "process died" in results[3].failure.reason
    assert set(written(tmp_path)) == {name for s in (0, 2, 4) for name in (f"{s}.json", f"inner/{s}.bin")}


def test_what_hangs_is_ended(cluster, tmp_path):
    results = {r.seed: r for r in RAY.run_seeds(Writes(tmp_path, hangs=(0,)), range(3), 2, timeout=8.0)}
    assert results[0].failure and results[1] == Result(1, 10) and results[2] == Result(2, 20)


def test_task_that_cannot_be_made(cluster, tmp_path):
    with pytest.raises(WorkerError, match=r"^a worker process could not start: no simulator here$"):
        list(RAY.run_seeds(Writes(tmp_path, starts=False), range(3), 1))
    assert list(RAY.run_seeds(Writes(tmp_path), [], 1)) == []


def test_a_killed_node_costs_its_tasks_only_and_they_run_again(cluster, tmp_path):
    made, nodes = cluster
    task = Writes(tmp_path / "ray", seconds=2.0)
    results, killed = [], False
    for result in RAY.run_seeds(task, range(8), workers=2):
        results.append(result)
        if len(results) == 2 and not killed:
            killed = True
            made.remove_node(nodes.pop(), allow_graceful=False)
            nodes.append(made.add_node(num_cpus=1))
    assert killed and sorted(r.seed for r in results) == list(range(8)) and not any(r.failure for r in results)
    local = tmp_path / "local"
    local.mkdir()
    for seed in range(8):
        Writes(local).task(seed)
    assert written(tmp_path / "ray") == written(local)


def test_imported_recordings_are_the_same_bytes(cluster, tmp_path):
    from learned_sim_env.data.imports import ImportConfig, look_at_all
    from tests.recordings.world import make_world
    from tests.recordings.writers import scenarionet, table

    pytest.importorskip("minari", reason="Minari is not installed")
    logs = tmp_path / "logs"
    logs.mkdir()
    world = make_world()
    table(logs, world)
    scenarionet(logs, world)
    for name, engine in (("local", Engine()), ("ray", RAY)):
        look_at_all(ImportConfig(logs, tmp_path / name, workers=2, engine=engine))
    local, there = written(tmp_path / "local" / "files"), written(tmp_path / "ray" / "files")
    # A record, an episode and a picture of each.
    assert len(local) == 6 and there == local
    assert (tmp_path / "local" / "report.json").read_bytes() == (tmp_path / "ray" / "report.json").read_bytes()
