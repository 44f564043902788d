"""`learned-sim import`: a summary, an exit status, and sentences instead of tracebacks."""

from __future__ import annotations

import json

import pytest

from learned_sim_env.cli.main import main
from tests.recordings.world import make_world
from tests.recordings.writers import scenarionet, table


def test_check(tmp_path, capsys):
    path = table(tmp_path, make_world())
    assert main(["import", str(path), "--check", "--workers", "1"]) == 0
    assert "1 drive, 80 frames" in capsys.readouterr().out.replace("1 files (1 table): ", "")


def test_damaged_file_is_listed(tmp_path, capsys):
    scenarionet(tmp_path, make_world()).write_bytes(b"tracks map_features metadata")
    assert main(["import", str(tmp_path), "--check", "--out", str(tmp_path / "out")]) == 1
    out = capsys.readouterr().out
    assert "scene.pkl: it is no whole pickle" in out and "Traceback" not in out
    assert json.loads((tmp_path / "out" / "report.json").read_text())["drives"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "--check"], "does not exist"),
        (["."], "name it with --out"),
        ([".", "--check", "--format", "csv"], "unknown format 'csv'"),
    ],
)
def test_wrong_arguments(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["import", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("learned-sim: error:") and words in error
