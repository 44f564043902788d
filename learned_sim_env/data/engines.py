"""Where tasks are run: on this machine, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from learned_sim_env.data.workers import Result, Task, run_seeds
from learned_sim_env.spec import unknown

ENGINES = {"local": "processes on this machine", "ray": "actors on a Ray cluster"}


@dataclass(frozen=True)
class Engine:
    """Where tasks are run: a name in `ENGINES`, and the address of a Ray cluster, see `ray_workers`."""

    name: str = "local"
    address: str = ""

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise unknown("engine", self.name, ENGINES)
        if self.address and self.name != "ray":
            raise ValueError(f"address {self.address!r} is that of a Ray cluster: it needs --engine ray")

    def run_seeds(
        self, make_task: Callable[[], Task], seeds: Iterable[int], workers: int, timeout: float = 300.0
    ) -> Generator[Result, None, None]:
        """See `workers.run_seeds`."""
        if self.name == "local":
            return run_seeds(make_task, seeds, workers, timeout)
        from learned_sim_env.data.ray_workers import run_seeds_on_ray

        return run_seeds_on_ray(make_task, seeds, workers, timeout, self.address)


LOCAL = Engine()
