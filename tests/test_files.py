"""Files are whole or not there."""

from __future__ import annotations

import ast
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import learned_sim_env
from learned_sim_env.files import (
    DiskFull,
    appending,
    remove_unfinished,
    replacing,
    replacing_folder,
    write_json,
    write_text,
)

# Runs a function of this module where no file may grow beyond so many bytes.
LIMITED = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from tests import test_files
if __name__ == "__main__":
    try:
        test_files.WRITERS[sys.argv[1]](Path(sys.argv[2]))
    except test_files.DiskFull as error:
        print(error)
"""


def write_arrays(folder: Path) -> None:
    import numpy as np

    from learned_sim_env.data.store import write_npz

    write_npz(folder / "x.npz", {"x": np.random.default_rng(0).random(10_000)})


def write_tensors(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    with replacing(folder / "x.safetensors") as temporary:
        save_file({"x": torch.zeros(10_000)}, temporary)


def write_film(folder: Path) -> None:
    import numpy as np

    from learned_sim_env.films import save_film

    save_film(folder / "x.gif", np.random.default_rng(0).integers(0, 255, (9, 64, 64, 3), np.uint8))


def write_lines(folder: Path) -> None:
    with appending(folder / "x.jsonl") as file:
        file.write("y" * 30_000)


WRITERS = {
    "x.npz": write_arrays,
    "x.safetensors": write_tensors,
    "x.gif": write_film,
    "x.jsonl": write_lines,
    "x.json": lambda folder: write_json(folder / "x.json", "y" * 30_000),
}


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "new" / "report.txt"
    write_text(path, "old")
    with pytest.raises(KeyError), replacing(path) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".txt" and temporary.parent == path.parent
        raise KeyError
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]


def test_json_replaces_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": [1, None]})
    assert json.loads(path.read_text()) == {"a": [1, None]}


def test_text_is_the_same_whatever_the_machine_prefers(tmp_path):
    path, text = tmp_path / "a.txt", "ä ≥\n"
    call = f"write_text(Path({str(path)!r}), {text!a})"
    code = f"from pathlib import Path; from learned_sim_env.files import write_text; {call}"
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code], env=plain, check=True)
    assert path.read_bytes() == text.encode()


def test_all_text_is_read_and_written_in_an_encoding_that_is_named():
    unnamed = []
    for path in sorted(Path(learned_sim_env.__file__).parent.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and _is_text(call) and "encoding" not in {k.arg for k in call.keywords}:
                unnamed.append(f"{path}:{call.lineno}")
    assert not unnamed, "what the machine prefers differs from machine to machine"


def _is_text(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes text."""
    method, given = isinstance(call.func, ast.Attribute), {k.arg: ast.unparse(k.value) for k in call.keywords}
    name = ast.unparse(call.func).split(".")[-1]
    if name in ("open", "fdopen"):
        # `open` as a method is of archives and sessions.
        mode = given.get("mode") or (ast.unparse(call.args[1]) if len(call.args) > 1 else "")
        return "b" not in mode and (not method or name == "fdopen")
    # `write_text` as a function is that of `files`.
    return name == "read_text" or (name == "write_text" and method) or given.get("text") == "True"


def test_processes_with_the_same_number_do_not_meet(tmp_path):
    # Hosts that share storage give the same numbers to their processes.
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as other:
        one.write_text("one")
        other.write_text("other")
        assert one != other
    assert (tmp_path / "a").read_text() == "one" and os.listdir(tmp_path) == ["a"]


def fill(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "file").write_text(text)


def test_a_folder_takes_the_old_ones_place_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "data"
    for text in ("first", "second"):
        with replacing_folder(path) as temporary:
            fill(temporary, text)
        assert (path / "file").read_text() == text
    with pytest.raises(KeyError), replacing_folder(path) as temporary:
        fill(temporary, "half")
        raise KeyError
    assert (path / "file").read_text() == "second" and os.listdir(path.parent) == ["data"]


def test_an_old_folder_outlives_whatever_happens_before_the_new_one_stands(tmp_path, monkeypatch):
    path, replace = tmp_path / "data", os.replace
    with replacing_folder(path) as temporary:
        fill(temporary, "old")

    def refuse(source, target):
        if Path(target) == path and "unfinished" in str(source):
            raise PermissionError("it is open elsewhere")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError), replacing_folder(path) as temporary:
        fill(temporary, "new")
    assert (path / "file").read_text() == "old" and os.listdir(tmp_path) == ["data"]
    monkeypatch.undo()
    # Killed at the one moment when there is neither.
    aside = tmp_path / ".old-data"
    path.rename(aside)
    with pytest.raises(KeyError), replacing_folder(path):
        raise KeyError
    assert (path / "file").read_text() == "old" and os.listdir(tmp_path) == ["data"]


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path):
    for name in (".unfinished-0-a", ".unfinished-1-b", "c"):
        (tmp_path / name).write_text("")
    fill(tmp_path / ".unfinished-2-a", "half")
    remove_unfinished(tmp_path, "a")
    assert sorted(os.listdir(tmp_path)) == [".unfinished-1-b", "c"]
    remove_unfinished(tmp_path)
    assert os.listdir(tmp_path) == ["c"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
@pytest.mark.parametrize("name", WRITERS)
def test_without_space_the_file_is_named_and_nothing_is_left(tmp_path, name):
    script, folder = tmp_path / "limited.py", tmp_path / "folder"
    script.write_text(LIMITED)
    folder.mkdir()
    (folder / "x.jsonl").write_text("a line\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(script), name, str(folder)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and not done.stderr
    assert f"{folder / name} cannot be written: {os.strerror(errno.EFBIG)}, " in done.stdout
    assert "MB are free in" in done.stdout and "free some, or write elsewhere" in done.stdout
    assert os.listdir(folder) == ["x.jsonl"] and (folder / "x.jsonl").read_text() == "a line\n"


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(PermissionError, match="not yours"), replacing(tmp_path / "a"):
        raise PermissionError("not yours")
    with pytest.raises(DiskFull, match="a cannot be written"), replacing(tmp_path / "a"):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            raise ValueError("cannot tidy up")
