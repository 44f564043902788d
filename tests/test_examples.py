"""Every example runs as it is, on what ships with the package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"

# Arguments that shorten it, modules it needs beyond the base install, what it says, what it writes.
RUNS = {
    "drive_in_the_dream.py": ([], (), "m/s", None),
    "observation_spaces.py": ([], (), "LearnedDrivingCamera-v0: a dream of", None),
    "dream_from_own_frames.py": (
        ["--steps", "3"],
        ("PIL",),
        "steps imagined, uncertainty",
        "runs/dream_from_own_frames.png",
    ),
    "vector_rollouts.py": (["--rows", "8", "--steps", "10"], (), "80 steps at", None),
    "counterfactuals.py": (["--steps", "5"], ("PIL",), "steer +0.4:", "runs/counterfactuals.png"),
    "bev_of_simulators.py": (
        ["--seeds", "2", "--steps", "3"],
        ("PIL", "metadrive", "carla", "msgpack"),
        "written",
        "runs/bev_of_simulators.png",
    ),
    "compare_sims.py": (
        ["--episodes", "1", "--steps", "5", "--scenarios", "curve"],
        ("matplotlib", "metadrive", "carla", "msgpack"),
        "speed [m/s]",
        "runs/compare_sims.html",
    ),
    "train_sb3_ppo.py": (
        ["--steps", "64", "--rows", "8", "--horizon", "8"],
        ("stable_baselines3",),
        "return in the dream over 8 steps",
        "runs/ppo.safetensors",
    ),
    "train_sb3_cameras.py": (
        ["--steps", "16", "--rollout", "16", "--horizon", "8"],
        ("stable_baselines3",),
        "return of the last episodes",
        None,
    ),
    "evaluate_in_twin.py": (["--episodes", "1"], ("metadrive",), "driving score", None),
    "cleanrl_ppo.py": (["--steps", "64", "--rows", "8", "--length", "8"], (), "64 steps,", None),
    "safe_rl_lagrangian.py": (
        ["--steps", "64", "--rows", "8", "--horizon", "8"],
        ("stable_baselines3",),
        "price of a step with cost",
        None,
    ),
    "plan_mppi.py": (["--steps", "3", "--plans", "8", "--horizon", "5"], (), "3 steps, return", None),
    "compare_policies.py": (
        ["--drivers", "nothing", "follow-3", "follow-8", "--contexts", "2", "--steps", "3", "--most-steps", "30"],
        ("metadrive",),
        "over 3 drivers",
        None,
    ),
    "dream_beside_twin.py": (["--steps", "5"], ("PIL", "metadrive"), "the same moment", "runs/dream_beside_twin.gif"),
}


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_example(name, tmp_path):
    arguments, modules, says, writes = RUNS[name]
    for module in modules:
        pytest.importorskip(module, reason=f"{name} needs {module}")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error::DeprecationWarning:learned_sim_env", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    written = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()]
    assert written == ([writes] if writes else [])


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_can_be_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) < 150
