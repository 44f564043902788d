"""What packages export can be used under the name that they give it, and costs nothing until then."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import learned_sim_env

ROOT = Path(__file__).parent.parent
PUBLIC = (
    "learned_sim_env",
    *(
        f"learned_sim_env.{name}"
        for name in (
            "agents",
            "carla_standin",
            "data",
            "drivers",
            "environments",
            "evaluation",
            "harness",
            "imagination",
            "measures",
            "recordings",
            "rendering",
            "reporting",
            "reinforcement",
            "simulators",
            "spec",
            "training",
            "twins",
            "viewer",
            "world_model",
        )
    ),
)
# What a name may need that is no part of the base install.
OPTIONAL = ("msgpack", "stable_baselines3")


@pytest.mark.parametrize("package", PUBLIC)
def test_every_exported_name_exists_and_hides_no_module(package: str) -> None:
    found = import_module(package)
    modules = {module.name for module in pkgutil.iter_modules(found.__path__)}
    for name in found.__all__:
        try:
            assert getattr(found, name) is not None
        except ImportError as error:
            assert error.name in OPTIONAL
    assert modules.isdisjoint(found.__all__), "importing the module would put it in the name's place"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = found.nothing


def test_importing_the_packages_loads_nothing_heavy() -> None:
    code = (
        "import json, sys\n"
        f"for name in {PUBLIC}: __import__(name)\n"
        "print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"torch", "pygame", "cv2", "metadrive", "carla", "matplotlib", "safetensors", *OPTIONAL}
    assert heavy.isdisjoint(json.loads(done.stdout))


def test_load_gives_the_checkpoint_that_ships() -> None:
    checkpoint = learned_sim_env.load("bev-rssm")
    assert checkpoint.name == "bev-rssm" and len(checkpoint.contexts) > 0
    with pytest.raises(FileNotFoundError, match="bev-rsm"):
        learned_sim_env.load("bev-rsm")
