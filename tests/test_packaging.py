"""What is built holds everything it needs, and runs where only the base install is."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from learned_sim_env.cli.info import PACKAGES
from learned_sim_env.optional import LAST_PYTHON
from learned_sim_env.registration import declarations
from learned_sim_env.resources import checkpoints_dir

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
BUILT_FROM = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
FOLDERS = ("learned_sim_env", "envs", "checkpoints", "recipes", "suites")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")

# Run far from the checkout, with the interpreter of a base install.
FIRST_STEPS = """
import importlib.util, json, sys
import gymnasium as gym
import learned_sim_env
env = gym.make(sys.argv[1])
observation, info = env.reset(seed=0)
assert env.observation_space.contains(observation)
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
assert env.observation_space.contains(observation)
env.close()
optional = ("metadrive", "carla", "cv2", "pygame", "minari", "h5py", "matplotlib", "PIL", "stable_baselines3")
print(json.dumps({
    "package": learned_sim_env.__file__,
    "optional": [name for name in optional if importlib.util.find_spec(name)],
}))
"""


@pytest.fixture(scope="module")
def project() -> dict:
    """The `[project]` table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """A folder with the sdist and the wheel that is built from it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source, cwd=out)
    return out


@pytest.fixture(scope="module")
def base_install(dist, tmp_path_factory) -> Path:
    """Folder of the commands of a virtual environment that holds the wheel and its core dependencies, nothing else."""
    prefix = tmp_path_factory.mktemp("base") / "venv"
    venv.create(prefix, with_pip=False)
    commands = prefix / ("Scripts" if os.name == "nt" else "bin")
    (wheel,) = dist.glob("*.whl")
    pip = (sys.executable, "-m", "pip", "--python", commands / "python")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=prefix)
    purelib = run(
        commands / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=prefix
    ).strip()
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))).decode()
    for file in core_files(re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)):
        target = Path(purelib, file.name)
        if not target.exists():
            target.symlink_to(file)
    return commands


def core_files(requirements: list[str]) -> set[Path]:
    """Top-level files and folders of the distributions that `requirements` need when no extra is asked for."""
    found: set[Path] = set()
    seen: set[tuple[str, tuple[str, ...]]] = set()
    waiting = [(text, ("",)) for text in requirements]
    while waiting:
        text, extras = asked = waiting.pop()
        requirement = Requirement(text)
        needed = requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
        if not needed or asked in seen:
            continue
        seen.add(asked)
        distribution = importlib.metadata.distribution(requirement.name)
        tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
        found |= {Path(str(distribution.locate_file(top))) for top in tops}
        waiting += [(inner, ("", *sorted(requirement.extras))) for inner in distribution.requires or ()]
    return found


def run(*command: object, cwd: Path) -> str:
    """Output of a command that must succeed, in an environment that does not lead back to the checkout."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def files_of(folder: str) -> set[str]:
    """Files of a folder of the checkout, relative to its root, without what Python caches."""
    return {
        p.relative_to(ROOT).as_posix()
        for p in (ROOT / folder).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }


def test_sdist_holds_code_declarations_and_checkpoints(dist):
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in FOLDERS:
        assert files_of(folder) <= names


def test_wheel_holds_the_package_and_its_data(dist):
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    data = files_of("envs") | files_of("checkpoints") | files_of("recipes") | files_of("suites")
    assert names == files_of("learned_sim_env") | {f"learned_sim_env/_data/{name}" for name in data}


@pytest.mark.slow
@pytest.mark.parametrize("env_id", [d.id for d in declarations().values() if d.backend == "learned"])
def test_learned_environment_runs_on_the_base_install(base_install, tmp_path, env_id):
    report = json.loads(run(base_install / "python", "-c", FIRST_STEPS, env_id, cwd=tmp_path))
    assert Path(report["package"]).is_relative_to(base_install.parent)
    assert report["optional"] == []


def test_command_runs_on_the_base_install(base_install, tmp_path):
    assert "commands:" in run(base_install / "learned-sim", "--help", cwd=tmp_path)
    report = json.loads(run(base_install / "learned-sim", "info", "--json", cwd=tmp_path))
    missing = {env_id: env["missing"] for env_id, env in report["environments"].items()}
    assert {env_id for env_id, what in missing.items() if not what} == {
        d.id for d in declarations().values() if d.backend == "learned"
    }
    assert missing["MetaDriveDriving-v0"] == "extra [metadrive]"
    assert sorted(report["checkpoints"]) == sorted(p.parent.name for p in checkpoints_dir().glob("*/config.json"))


@pytest.mark.parametrize("python", PYTHONS)
def test_extras_never_ask_for_two_owners_of_a_module(project, python):
    asked = {
        canonicalize_name(requirement.name)
        for extra in project["optional-dependencies"].values()
        for requirement in map(Requirement, extra)
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python})
    }
    if "metadrive-simulator" in asked:  # which asks for these itself
        asked |= {"pygame", "opencv-python"}
    assert not {"pygame", "pygame-ce"} <= asked
    assert not {"opencv-python", "opencv-python-headless"} <= asked


@pytest.mark.parametrize("extra", LAST_PYTHON)
def test_error_and_metadata_agree_on_the_last_python(project, extra):
    first = Requirement(project["optional-dependencies"][extra][0])
    last = max(v for v in PYTHONS if first.marker.evaluate({"python_version": v}))
    assert last == ".".join(map(str, LAST_PYTHON[extra]))


def test_info_lists_what_the_project_declares(project):
    declared = {"": project["dependencies"], **project["optional-dependencies"]}
    names = {extra: {Requirement(text).name for text in texts} for extra, texts in declared.items()}
    names[""].remove("tomli")
    del names["dev"]
    assert {extra: set(listed) for extra, listed in PACKAGES.items()} == names


def test_errors_name_extras_that_exist(project):
    for path in (ROOT / "learned_sim_env").rglob("*.py"):
        for extra in re.findall(r"""\brequire\([^)]*extra=["'](\w+)["']""", path.read_text()):
            assert extra in project["optional-dependencies"], f"{path.name} sends the user to extra [{extra}]"
