"""What failed, in words: a line for what can be mended, a traceback for a defect of this package."""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from gymnasium.error import Error as GymnasiumError

from learned_sim_env.scene import SimulatorError


class WorkerError(RuntimeError):
    """What another process could not do, and why; it can be mended."""


# Errors whose message says what to mend. All others are defects.
MENDABLE = (ValueError, OSError, ImportError, GymnasiumError, SimulatorError, WorkerError)


def line_of(error: BaseException) -> str:
    """The message of an error in one line, however it was broken into lines."""
    return " ".join(str(error).split())


@dataclass(frozen=True)
class Failure:
    """Of another process, whose exceptions may not travel.

    reason: in one line. details: the traceback, "" where there is none. mendable: whether the reason says what to mend.
    """

    reason: str
    details: str = ""
    mendable: bool = True

    @staticmethod
    def of(error: BaseException) -> Failure:
        """What an exception says, in the process in which it was raised."""
        mendable = isinstance(error, MENDABLE)
        said = line_of(error)
        reason = said if mendable and said else f"{type(error).__name__}: {said}".rstrip(": ")
        return Failure(reason, "".join(traceback.format_exception(error)), mendable)

    def __str__(self) -> str:
        """The reason, or the traceback of a defect."""
        return self.reason if self.mendable else self.details or self.reason

    def error(self, what: str) -> RuntimeError:
        """What to raise in this process because of it: a `WorkerError` of one line, or an error with its traceback.

        Args:
            what: could not be done.
        """
        return WorkerError(f"{what}: {self}") if self.mendable else RuntimeError(f"{what}:\n{self}")
