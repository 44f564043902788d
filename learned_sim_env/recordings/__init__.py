"""Recordings of real driving, of many formats, and the drives that are made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from learned_sim_env.optional import lazy_names

if TYPE_CHECKING:
    from learned_sim_env.recordings.recording import Recording, RecordingError

__all__ = ["Recording", "RecordingError"]

# They load optional packages.
__getattr__ = lazy_names(
    __name__,
    {
        "Recording": "learned_sim_env.recordings.recording",
        "RecordingError": "learned_sim_env.recordings.recording",
    },
)
