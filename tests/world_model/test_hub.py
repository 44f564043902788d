"""Checkpoints on the hub: by name and revision, downloaded from a server on this machine, told from folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from learned_sim_env.cli.main import main
from learned_sim_env.world_model.checkpoint import find, save_pretrained
from learned_sim_env.world_model.hub import HubId
from tests.hub_server import commit, hub_of

needs_hub = pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="needs the extra [hub]")


@pytest.fixture
def ask(tmp_path, model, contexts):
    """Runs code where `owner/model` is on the hub: bound 3 at its head, 2 at the tag v1; `gone` asks without a hub."""
    head = save_pretrained(tmp_path / "head", model, contexts, 3.0, {})
    old = save_pretrained(tmp_path / "old", model, contexts, 2.0, {})
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.md").write_text("no model")
    here = tmp_path / "here"
    # What lies in the working directory does not matter.
    (here / "owner").mkdir(parents=True)
    (here / "bev-rssm").mkdir()

    with hub_of({"owner/model": {"main": head, "v1": old}, "owner/empty": {"main": tmp_path / "empty"}}) as address:

        def ask(code: str, gone: bool = False) -> str:
            endpoint = "http://127.0.0.1:9" if gone else address
            environment = {
                **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
                "HF_ENDPOINT": endpoint,
                "HF_HOME": str(tmp_path / "cache"),
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "PYTHONPATH": os.pathsep.join(sys.path),
            }
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=here, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        ask.head, ask.old = head, old
        yield ask


@pytest.mark.slow
@needs_hub
def test_a_checkpoint_comes_from_the_hub_at_the_revision_asked_for(ask):
    code = """
from learned_sim_env import from_pretrained
for name in ("hf://owner/model", "hf://owner/model@v1", "hf://owner/model@{commit}"):
    checkpoint = from_pretrained(name)
    print(checkpoint.name, checkpoint.uncertainty_bound)
"""
    revision = commit(ask.old)
    lines = ask(code.replace("{commit}", revision)).splitlines()
    assert lines == ["hf://owner/model 3.0", "hf://owner/model@v1 2.0", f"hf://owner/model@{revision} 2.0"]
    # Once it is there, no connection is needed.
    assert ask(code.replace("{commit}", revision), gone=True).splitlines() == lines


@needs_hub
def test_what_the_hub_has_not_is_said(ask):
    code = """
from learned_sim_env.world_model.checkpoint import find
for name in ("hf://owner/none", "hf://owner/model@v9", "hf://owner/empty"):
    try:
        find(name)
    except FileNotFoundError as error:
        print(error)
"""
    none, revision, empty = ask(code).splitlines()
    assert none.startswith("there is no owner/none on the hub, or it is private")
    assert revision == "owner/model has no revision 'v9' on the hub"
    assert empty == "hf://owner/empty is not a checkpoint: it has no config.json"
    unreachable = """
from learned_sim_env.world_model.checkpoint import find
try:
    find("hf://owner/model")
except ConnectionError as error:
    print(error)
"""
    assert ask(unreachable, gone=True).startswith("hf://owner/model is not in the cache, and the hub does not give it")


@pytest.mark.slow
@needs_hub
def test_info_tells_what_is_on_the_hub(ask):
    code = """
import json
from learned_sim_env.cli import info
from learned_sim_env.registration import Declared, EnvDeclaration
declared = EnvDeclaration("Far-v0", "learned", "driving", settings={"checkpoint": "hf://owner/model"})
info.look = lambda: Declared({"Far-v0": declared}, ())
report = info.collect()
print(json.dumps(report["environments"]["Far-v0"]))
print(info.render(report))
"""
    told, *text = ask(code, gone=True).splitlines()
    assert json.loads(told)["missing"] == "" and json.loads(told)["given"] == "a download of hf://owner/model"
    assert any("ready, given a download of hf://owner/model" in line for line in text)
    ask("from learned_sim_env import from_pretrained; from_pretrained('hf://owner/model')")
    assert json.loads(ask(code, gone=True).splitlines()[0])["given"] == ""


def test_ids():
    assert HubId.parse("owner/name") is HubId.parse("./hf") is None
    assert HubId.parse("hf://owner/a.b-c") == HubId("owner/a.b-c")
    assert str(HubId.parse("hf://owner/name@refs/pr/1")) == "hf://owner/name@refs/pr/1"
    for name in ("hf://owner", "hf://owner/name/more", "hf://owner/name@", "hf://"):
        with pytest.raises(ValueError, match=r"not of the form hf://OWNER/NAME or hf://OWNER/NAME@REVISION"):
            HubId.parse(name)


def test_a_path_has_a_separator_and_a_name_has_none(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = find("bev-rssm")
    folder.rename(tmp_path / "bev-rssm")
    assert find("bev-rssm") == shipped
    for path in ("./bev-rssm", Path("bev-rssm"), str(tmp_path / "bev-rssm"), f"../{tmp_path.name}/bev-rssm"):
        assert find(path).resolve() == tmp_path / "bev-rssm"
    (tmp_path / "owner").mkdir()
    (tmp_path / "bev-rssm").rename(tmp_path / "owner" / "mine")
    assert find("owner/mine") == Path("owner/mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find("~/owner/mine") == tmp_path / "owner" / "mine"


def test_what_is_not_there_is_looked_for_nowhere_else(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"unknown checkpoint 'small'.*\(\./small is one\), or hf://OWNER/NAME"):
        find("small")
    with pytest.raises(FileNotFoundError, match=r"no folder owner/none; for one on the hub, give hf://owner/none"):
        find("owner/none")


def test_no_card_is_written_into_the_hubs_cache(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs the extra [train]")
    assert main(["evaluate", "--checkpoint", "hf://owner/model", "--card", "--out", str(tmp_path)]) == 2
    assert "copy hf://owner/model to one of your own first" in capsys.readouterr().err
