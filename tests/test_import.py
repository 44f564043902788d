"""`import learned_sim_env` costs little and changes nothing but Gymnasium's registry."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import learned_sim_env
from learned_sim_env.registration import declarations

ROOT = Path(__file__).parent.parent

SCRIPT = """
import json, os, random, sys, warnings
import gymnasium, numpy
def world():
    return [dict(os.environ), str(random.getstate()), str(numpy.random.get_state()), str(warnings.filters), sys.path[:]]
before, modules, ids = world(), set(sys.modules), set(gymnasium.registry)
import learned_sim_env
print(json.dumps({
    "modules": sorted({m.partition(".")[0] for m in set(sys.modules) - modules}),
    "ids": sorted(set(gymnasium.registry) - ids),
    "changed": [i for i, (a, b) in enumerate(zip(before, world())) if a != b],
}))
"""


@pytest.fixture(scope="module")
def effects() -> dict[str, list]:
    """What importing the package adds and changes, seen from a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_imports_no_heavy_or_optional_package(effects):
    heavy = {"torch", "pygame", "cv2", "metadrive", "carla", "minari", "h5py", "matplotlib", "tyro", "safetensors"}
    assert heavy.isdisjoint(effects["modules"])


def test_registers_what_is_declared(effects):
    assert effects["ids"] == sorted(declarations())


def test_changes_nothing_global(effects):
    assert effects["changed"] == []


def test_from_pretrained_is_loaded_on_demand():
    assert callable(learned_sim_env.from_pretrained)


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'from_pretraind'"):
        _ = learned_sim_env.from_pretraind
