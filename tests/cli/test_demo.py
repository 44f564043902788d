"""`learned-sim demo` drives, tells what happened, and films it with what is installed."""

from __future__ import annotations

import re
import sys

import pytest

from learned_sim_env.cli.main import main


def film(path) -> tuple[int, tuple[int, int]]:
    """Number of frames and their size."""
    image = pytest.importorskip("PIL.Image", reason="films need the extra [viewer]")
    with image.open(path) as opened:
        return opened.n_frames, opened.size


@pytest.mark.parametrize(
    ("checkpoint", "compared", "size"),
    [([], "front", (710, 308)), (["--checkpoint", "bev-rssm"], "bev", (644, 344))],
    ids=["cameras", "from above"],
)
def test_dream_and_its_twin(checkpoint, compared, size, tmp_path, capsys):
    pytest.importorskip("metadrive", reason="needs the extra [metadrive]")
    pytest.importorskip("PIL", reason="films need the extra [viewer]")
    assert main(["demo", *checkpoint, "--seconds", "1", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    equal = rf"  MetaDrive: .* the same moment, .*, ([\d.]+)% of {compared} equal"
    assert set(re.findall(equal, out)) == {"100.0"}
    assert re.search(r"^10 steps in \d+ episodes?, return -?\d", out, re.MULTILINE)
    assert re.search(r"\d steps/s imagined and drawn, \d+ in MetaDrive", out)
    assert out.endswith(f"written: {tmp_path / 'demo.gif'}\n")
    frames, found = film(tmp_path / "demo.gif")
    assert frames > 10
    assert found == size


def test_without_metadrive_the_dream_alone(no_metadrive, tmp_path, capsys):
    pytest.importorskip("PIL", reason="films need the extra [viewer]")
    assert main(["demo", "--seconds", "2", "--out", str(tmp_path), "--scenario", "roundabout"]) == 0
    out = capsys.readouterr().out
    assert "without the simulator beside it: metadrive is not installed" in out
    assert "roundabout" in out
    assert film(tmp_path / "demo.gif")[1] == (710, 152)


def test_twin_can_be_left_out(no_metadrive, tmp_path, capsys):
    assert main(["demo", "--seconds", "0.5", "--out", str(tmp_path), "--no-twin"]) == 0
    assert "metadrive" not in capsys.readouterr().out


def test_base_install_drives_without_a_film(no_metadrive, monkeypatch, tmp_path, capsys):
    for module in ("PIL", "PIL.Image"):
        monkeypatch.setitem(sys.modules, module, None)
    assert main(["demo", "--seconds", "1", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "10 steps in" in out
    assert 'no film: PIL is not installed: pip install "learned-sim-env[viewer]"' in out
    assert not list(tmp_path.iterdir())


def test_the_seed_decides(no_metadrive, tmp_path, capsys):
    told = []
    for seed in ("1", "1", "2"):
        main(["demo", "--seconds", "2", "--seed", seed, "--out", str(tmp_path)])
        told.append(re.sub(r".*steps/s.*", "", capsys.readouterr().out))
    assert told[0] == told[1] != told[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seconds", "0"], "seconds is 0.0"),
        (["--scenario", "roundabuot"], "Did you mean 'roundabout'?"),
        (["--checkpoint", "camera-rsm"], "unknown checkpoint 'camera-rsm'. Did you mean 'camera-rssm'?"),
    ],
)
def test_wrong_options(options, message, no_metadrive, tmp_path, capsys):
    assert main(["demo", *options, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
