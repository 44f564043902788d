"""Tables: what is not known is said, and what is missing is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from learned_sim_env.recordings import formats
from learned_sim_env.recordings.recording import Recording, RecordingError

HEADER, ROW = "time_ms,x,y,heading_deg", "{},{},0,90"


def written(folder: Path, more: dict[str, str], header: str = HEADER) -> Path:
    """A table of 20 moments, with more columns of the same values."""
    rows = [",".join([ROW.format(100 * k, k), *more.values()]) for k in range(20)]
    (folder / "ego.csv").write_text("\n".join([",".join([header, *more]), *rows]))
    return folder


def test_units_and_columns_that_are_not_known(tmp_path: Path) -> None:
    (found,) = formats.read(written(tmp_path, {"speed_mph": "30", "comment": "rain", "brake": "0.5"}), "table")
    assert isinstance(found, Recording) and found.ego.headings is not None
    assert found.ego.times[-1] == pytest.approx(1.9) and np.allclose(found.ego.headings, np.pi / 2)
    assert set(found.signals) == {"brake"}
    (note,) = found.notes
    assert note.startswith("columns of ego.csv that are not known are left out: speed_mph, comment; known: time, x, y")
    assert "speed" in note and "_kmh" in note


@pytest.mark.parametrize(
    ("header", "more", "words"),
    [
        ("time_ms,x,Y,heading_deg", {}, "ego.csv has no column 'y', only time, x, heading, Y"),
        (HEADER, {"speed": "fast"}, "ego.csv has 'fast' in column 'speed', row 1: numbers are expected"),
    ],
)
def test_what_is_missing_is_named(header: str, more: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=words):
        list(formats.read(written(tmp_path, more, header), "table"))
