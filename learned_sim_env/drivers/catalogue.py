"""All drivers, by name."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from learned_sim_env.drivers.basic import ConstantDriver, NoisyDriver
from learned_sim_env.drivers.driver import Driver
from learned_sim_env.drivers.metadrive import METADRIVE_DRIVERS, MetaDriveDriver
from learned_sim_env.drivers.network import NetworkDriver, NetworkPolicy, policy_file, read, shipped_policies
from learned_sim_env.drivers.route import CarefulDriver, IDMDriver, RouteDriver
from learned_sim_env.spec import unknown

FILE = ".safetensors"
# What drives by a policy's file, by what its metadata calls "driver": "module:function", given the file's path and a
# seed of each row. Files without are of networks that are shown rays, or cameras.
FILES = {
    "latent": "learned_sim_env.agents.actor_critic.latent_policy:open_latent",
    "planner": "learned_sim_env.agents.planning.planner_policy:open_planner",
    "views": "learned_sim_env.agents.own_model.view_policy:open_views",
}
_THIS_PROCESS = os.urandom(8).hex()
# Makes a driver of n rows from a seed of each, on which alone the row's chance may depend.
DriverMaker = Callable[[Sequence[int]], Driver]


def _follow(speed: float, seeds: Sequence[int]) -> Driver:
    return RouteDriver(speed)


def _careful(speed: float, seeds: Sequence[int]) -> Driver:
    return CarefulDriver(speed)


def _noisy(strength: float, seeds: Sequence[int]) -> Driver:
    return NoisyDriver(CarefulDriver(), (0.15 * strength, 0.4 * strength), seeds)


# Drivers without training, which need the observation alone.
SCRIPTED: dict[str, DriverMaker] = {
    "nothing": lambda seeds: ConstantDriver(0.0, 0.0),
    "throttle": lambda seeds: ConstantDriver(0.0, 0.5),
    # Drifts, forwards more than backwards: noise that is drawn anew in every step mostly cancels out.
    "random": lambda seeds: NoisyDriver(ConstantDriver(0.0, 0.3), (0.25, 0.5), seeds),
    "careful": lambda seeds: CarefulDriver(),
    "idm": lambda seeds: IDMDriver(),
    **{f"follow-{speed}": partial(_follow, float(speed)) for speed in (3, 6, 8, 10, 12)},
    **{f"careful-{speed}": partial(_careful, float(speed)) for speed in (2, 4, 6, 10, 12)},
    **{f"noisy-{i}": partial(_noisy, strength) for i, strength in enumerate((0.5, 1.0, 1.5, 2.5, 4.0), 1)},
}


def names() -> tuple[str, ...]:
    """All names, and what else `open_driver` takes."""
    return (*SCRIPTED, *METADRIVE_DRIVERS, *shipped_policies(), f"<file>{FILE}", "<module>:<function>")


def open_driver(name: str, seeds: Sequence[int], simulator: Any = None) -> Driver:
    """The driver called `name`: of `SCRIPTED`, that ships, in a `.safetensors` file, MetaDrive's or one's own.

    Args:
        name: which; one's own is "module:function", see `DriverMaker`.
        seeds: of the rows that it drives, one a row; one row for MetaDrive's own.
        simulator: for MetaDrive's own.

    Raises:
        ValueError: for an unknown name, a file that is no policy, or one of MetaDrive's own without its simulator.
        FileNotFoundError: if there is no such file.
        ImportError: if the module of one's own cannot be imported.
    """
    if name in SCRIPTED:
        return SCRIPTED[name](seeds)
    if name in METADRIVE_DRIVERS:
        return MetaDriveDriver(name, simulator)
    if name in shipped_policies() or name.endswith(FILE):
        return _file_driver(policy_file(name), seeds)
    if ":" in name:
        return load_maker(name)(seeds)
    raise unknown("driver", name, names())


def _file_driver(path: Path, seeds: Sequence[int]) -> Driver:
    metadata, _ = read(path)
    if "driver" in metadata:
        if metadata["driver"] not in FILES:
            raise unknown(f"driver of {path}:", metadata["driver"], FILES)
        module, _, function = FILES[metadata["driver"]].partition(":")
        return getattr(importlib.import_module(module), function)(path, seeds)
    if "observes" not in metadata:
        return NetworkDriver(NetworkPolicy.load(path), len(seeds))
    from learned_sim_env.drivers.camera_network import CameraDriver, CameraPolicy

    return CameraDriver(CameraPolicy.load(path))


def identity(name: str) -> str:
    """What drives of a driver are kept by: they are used again only where nothing about it can have changed.

    Of a network it is its file's content; of one's own the function's attribute `fingerprint`, a text that is changed
    with it. Without, drives are used again only as long as this process runs.
    """
    if name in shipped_policies() or name.endswith(FILE):
        return hashlib.sha256(shipped_policies().get(name, Path(name)).read_bytes()).hexdigest()
    if ":" in name:
        return f"{name} {getattr(load_maker(name), 'fingerprint', _THIS_PROCESS)}"
    return name


def load_maker(name: str) -> DriverMaker:
    """The function that is called `name`.

    Raises:
        ImportError: if its module cannot be imported.
        ValueError: if that has no such function.
    """
    module, _, function = name.partition(":")
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise ValueError(f"driver {name!r}: module {module} has no function {function}")
    return found
