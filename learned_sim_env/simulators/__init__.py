"""One module a simulator: each turns its own world into `scene.Scene`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from typing import Any

from learned_sim_env.scene import Simulator
from learned_sim_env.spec import Contract, unknown

__all__ = ["DISTRIBUTIONS", "SIMULATORS", "installed_version", "open_simulator"]

# Name -> module:class; a class is called with the contract and the simulator's own settings.
SIMULATORS = {
    "metadrive": "learned_sim_env.simulators.metadrive:MetaDriveSimulator",
    "carla": "learned_sim_env.simulators.carla.simulator:CarlaSimulator",
    "recorded": "learned_sim_env.simulators.recorded:RecordedSimulator",
}
# Module and extra that one needs, where it is not called as the simulator is.
NEEDED = {"recorded": ("cv2", "recordings")}
# What the packages are called that they come in.
DISTRIBUTIONS = {"metadrive": "metadrive-simulator", "carla": "carla"}


def open_simulator(name: str, contract: Contract, isolate: bool | None = None, **settings: object) -> Simulator:
    """The simulator called `name`.

    Args:
        name: one of `SIMULATORS`.
        contract: clock and conventions to keep.
        isolate: run it in a process of its own. None: only if this process cannot hold another one.
        settings: the simulator's own keyword arguments.

    Raises:
        ValueError: if there is no such simulator or setting, or it is to have "cameras" and cannot.
        ImportError: if what it needs is not installed.
    """
    if name not in SIMULATORS:
        raise unknown("simulator", name, SIMULATORS)
    simulator_class = load(SIMULATORS[name])
    known = [setting for setting in signature(simulator_class).parameters if setting != "contract"]
    if "cameras" in settings and "cameras" not in known:
        raise ValueError(f'simulator {name!r} has no cameras of its own: use camera_source="drawn"')
    for setting in settings:
        if setting not in known:
            raise unknown(f"setting of {name}:", setting, known)
    if isolate or (isolate is None and simulator_class.in_use()):
        from learned_sim_env.simulators.process import ProcessSimulator

        return ProcessSimulator(SIMULATORS[name], contract, settings)
    return simulator_class(contract, **settings)


def installed_version(name: str) -> str:
    """Version of the package of the simulator called `name` (of CARLA's client), "" if there is none."""
    try:
        return version(DISTRIBUTIONS.get(name, name))
    except PackageNotFoundError:
        return ""


def load(path: str) -> Any:
    """The class at "module:class"."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
