"""A recorded drive, driven again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from learned_sim_env.display.frame import Frame
from learned_sim_env.viewer.policies import SessionPolicy
from learned_sim_env.viewer.session import Session, frame_of
from learned_sim_env.viewer.tape import Tape, crc
from learned_sim_env.viewer.tape_format import CRC, JUMP, STEP, group

# How a file of actions alone may end; a recording ends in .npz.
PLAIN = (".npy", ".csv")
COLUMNS = ("steer", "throttle_brake")


@dataclass
class Replay:
    """Drives a session as a tape says.

    Attributes:
        first_deviation: frame from which views or reward are others than on the tape, or -1.
    """

    tape: Tape
    session: Session
    first_deviation: int = -1

    def frames(self) -> Iterator[tuple[int, Frame]]:
        """Every frame of the tape, as it was shown, and how it came about (`tape.STEP`, `JUMP`, `HOLD`).

        Raises:
            ValueError: for a tape of another checkpoint.
        """
        a, session = self.tape.arrays, self.session
        crcs = group(a, CRC)
        for t, kind in enumerate(a["kind"].tolist()):
            if kind == JUMP:
                session.open(self.tape.snapshot(a["jump"][t]), self.tape.trail(a["jump"][t]))
                session.moment.reward = float(a["reward"][t])
            elif kind == STEP:
                session.step(a["action"][t])
            moment = session.moment
            alike = all(crc(moment.views[name]) == seen[t] for name, seen in crcs.items())
            if self.first_deviation < 0 and not (alike and moment.reward == a["reward"][t]):
                self.first_deviation = t
            yield kind, self.tape.dressed(t, frame_of(session))


class Given:
    """Takes actions (T, 2) float32 one after the other; after the last, another driver goes on."""

    def __init__(self, actions: np.ndarray, then: SessionPolicy):
        self._actions, self._then, self._taken = actions, then, 0

    @property
    def name(self) -> str:
        """The driver of now."""
        return "given actions" if self._taken < len(self._actions) else self._then.name

    def __call__(self, session: Session) -> np.ndarray:
        """Action (2,) float32."""
        if self._taken == len(self._actions):
            return self._then(session)
        self._taken += 1
        return self._actions[self._taken - 1]


def read_actions(path: Path) -> np.ndarray:
    """(T, 2) float32 actions from an array (.npy) or from lines `steer,throttle_brake` (.csv).

    A text file is UTF-8, with a byte order mark or without. Its first line may name the columns, in this order; empty
    lines are left out, and so is what follows a "#".

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for other contents, or values that are not in [-1, 1], naming where.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of actions {path}")
    if path.suffix not in PLAIN:
        raise ValueError(f"{path}: actions are read from a recording (.npz), an array (.npy) or lines (.csv)")
    if path.suffix == ".csv":
        actions, lines = _read_lines(path)
    else:
        actions = _read_array(path)
        lines = [f"row {i}" for i in range(len(actions))]
    for i, j in np.argwhere(~(np.abs(actions) <= 1)):
        raise ValueError(f"{path}, {lines[i]}, column {j + 1} ({COLUMNS[j]}): {actions[i, j].item()} is not in [-1, 1]")
    return actions.astype(np.float32)


def _read_array(path: Path) -> np.ndarray:
    try:
        actions = np.load(path, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} holds no actions: {error}") from error
    if actions.dtype.kind not in "fiu" or actions.ndim != 2 or actions.shape[1] != 2 or not len(actions):
        raise ValueError(f"{path} holds {actions.dtype} of shape {actions.shape}: (T, 2) numbers are needed")
    return actions


def _read_lines(path: Path) -> tuple[np.ndarray, list[str]]:
    """(T, 2) float64, and where each stands, as in "line 3"."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}): save it as CSV in UTF-8") from error
    rows, lines = list[list[float]](), list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip().strip("\"'") for cell in line.partition("#")[0].split(",")]
        if cells == [""]:
            continue
        if not rows and [cell.lower() for cell in cells] == list(COLUMNS):
            continue
        if len(cells) != len(COLUMNS):
            raise ValueError(f"{path}, line {number}: {line!r} is not of the form {','.join(COLUMNS)}")
        row = []
        for column, cell in enumerate(cells, 1):
            try:
                row.append(float(cell))
            except ValueError:
                raise ValueError(
                    f"{path}, line {number}, column {column}: {cell!r} is not a number; a first line with names has to "
                    f"be {','.join(COLUMNS)}"
                ) from None
        rows.append(row)
        lines.append(f"line {number}")
    if not rows:
        raise ValueError(f"{path} holds no actions: lines of the form {','.join(COLUMNS)} are needed")
    return np.array(rows), lines
