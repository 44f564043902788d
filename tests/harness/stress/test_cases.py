"""A failure that was saved is driven again from its file alone, or the file is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from learned_sim_env.harness.engine.dream import DreamRunner
from learned_sim_env.harness.engine.job import Job
from learned_sim_env.harness.stress.cases import open_case, save_case, summary_of
from learned_sim_env.harness.stress.strategies.disturbed_latents import LatentNoise
from learned_sim_env.viewer.replay import Replay
from learned_sim_env.viewer.session import Session
from learned_sim_env.viewer.tape import Tape
from tests.harness.world import HORIZON, small_suite


@pytest.mark.slow
def test_a_case_is_driven_again_from_its_file_or_refused(tmp_path, monkeypatch):
    checkpoint, suite = small_suite()
    job = Job("case", 1, 7, HORIZON, (LatentNoise(0.5, 3),))
    runner = DreamRunner(checkpoint, suite.starts, "follow-8", rows=1)
    drive = runner.run([job])[0]
    path = tmp_path / "a.npz"
    save_case(path, runner, job, drive, {"size": 0.5}, "LearnedDriving-v0")
    assert summary_of(path).startswith("follow-8, latent_noise 0.5: ")
    monkeypatch.setattr("learned_sim_env.harness.stress.cases.from_pretrained", lambda name: checkpoint)
    replay = Replay(Tape.load(path), Session(open_case(path, "small")))
    assert len(list(replay.frames())) == len(drive) + 1 and replay.first_deviation == -1

    tape = Tape.load(path)
    for case, message in (
        (None, "is a recording, not a case"),
        ({n: v for n, v in tape.about["case"].items() if n != "temperature"}, "is not whole: it lacks temperature"),
    ):
        other = replace(tape, about={**tape.about, "case": case}).save(tmp_path / "b.npz")
        for call in (lambda: summary_of(other), lambda: open_case(other, "small")):  # noqa: B023
            with pytest.raises(ValueError, match=message):
                call()
