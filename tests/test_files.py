"""Files are whole or not there."""

from __future__ import annotations

import json

import pytest

from learned_sim_env.files import replacing, write_json, write_text


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
