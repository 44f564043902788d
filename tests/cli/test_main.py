"""`learned-sim` lists its commands, suggests the nearest one, and turns expected errors into one line."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import pytest

from learned_sim_env import __version__
from learned_sim_env.cli.main import COMMANDS, main
from learned_sim_env.files import DiskFull

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def failing_demo(monkeypatch):
    """Makes `learned-sim demo` raise what is put in `raises`."""

    @dataclass(frozen=True)
    class DemoArgs:
        """Fails."""

    def run(args):
        raise module.raises

    module = types.ModuleType("learned_sim_env.cli.demo")
    module.DemoArgs, module.run, module.raises = DemoArgs, run, ValueError("no")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"]])
def test_help_lists_every_command(argv, capsys):
    assert main(argv) == 0
    out = capsys.readouterr().out
    for name, what in COMMANDS.items():
        assert name in out
        assert what in out


def test_help_loads_no_command():
    code = (
        "import sys; from learned_sim_env.cli.main import main; main(['--help']); "
        "print([m for m in sys.modules if m in ('torch', 'tyro') or m.startswith('learned_sim_env.cli.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['learned_sim_env.cli.main']"


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as left:
        main([name, "--help"])
    assert left.value.code == 0
    assert f"learned-sim {name}" in capsys.readouterr().out


def test_unknown_command_suggests_the_nearest(capsys):
    assert main(["trian"]) == 2
    assert "learned-sim: error: unknown command 'trian'. Did you mean 'train'?" in capsys.readouterr().err


def test_unknown_option_exits_with_2(capsys):
    with pytest.raises(SystemExit) as left:
        main(["info", "--jsn"])
    assert left.value.code == 2
    assert "--json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        ValueError("wrong\n  value"),
        FileNotFoundError("wrong value"),
        DiskFull("wrong value"),
        ImportError("wrong value"),
        gym.error.NameNotFound("wrong value"),
    ],
)
def test_expected_error_is_one_line(error, failing_demo, capsys):
    failing_demo.raises = error
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == "learned-sim: error: wrong value\n"


def test_defect_keeps_its_traceback(failing_demo):
    failing_demo.raises = AssertionError("a defect")
    with pytest.raises(AssertionError, match="a defect"):
        main(["demo"])


def test_interrupt(failing_demo):
    failing_demo.raises = KeyboardInterrupt()
    assert main(["demo"]) == 130


def test_letters_that_the_terminal_has_not_are_no_error(tmp_path):
    code = "from learned_sim_env.cli.main import main; raise SystemExit(main(['m/s²']))"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(r"learned-sim: error: unknown command 'm/s\xb2'.")
