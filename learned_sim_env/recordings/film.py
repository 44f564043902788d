"""Films: pictures of one camera on a car, of which nothing else is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from learned_sim_env.optional import opencv
from learned_sim_env.recordings.recording import RecordingError
from learned_sim_env.recordings.segments import SHORTEST
from learned_sim_env.spec import CONTRACTS, Contract

# What a film has of a `Drive`, beside pictures.
LACKS = ("path", "map", "others", "actions")


@dataclass(frozen=True, eq=False)
class Film:
    """One film.

    name: of it. format: that it was recorded in. log: its pieces belong into the same split.
    pictures: times [s] from the start, ascending, and pictures (H, W, 3) uint8 RGB; those of a film are read anew.
    """

    name: str
    format: str
    file: Path
    log: str
    pictures: Callable[[], Iterator[tuple[float, np.ndarray]]]


@dataclass(frozen=True, eq=False)
class Footage:
    """A piece of a film at the contract's clock: (T + 1, H, W, 3) uint8, as large as the contract's cameras are."""

    name: str
    log: str
    pictures: np.ndarray

    def __len__(self) -> int:
        """Number of steps T."""
        return len(self.pictures) - 1


def footage_of(film: Film, contract: Contract | None = None) -> Iterator[Footage]:
    """The pieces of a film, each as long as an episode may be; a rest of less than `SHORTEST` seconds is left out.

    Raises:
        RecordingError: if there is none.
    """
    contract = CONTRACTS["driving-camera"] if contract is None else contract
    shape = contract.cameras[0].shape
    kept: list[np.ndarray] = []
    number = 0

    def piece() -> Footage:
        return Footage(f"{film.name}/{number}", film.log, np.stack(kept))

    for picture in at_clock(film.pictures(), contract.dt):
        kept.append(fitted(picture, (shape[0], shape[1])))
        if len(kept) > contract.max_episode_steps:
            yield piece()
            kept, number = [], number + 1
    if (len(kept) - 1) * contract.dt >= SHORTEST:
        yield piece()
    elif not number:
        raise RecordingError(f"its {len(kept) * contract.dt:.1f} s are less than {SHORTEST:g} s")


def at_clock(pictures: Iterator[tuple[float, np.ndarray]], dt: float) -> Iterator[np.ndarray]:
    """The picture that is shown at 0, `dt`, 2 `dt`, ...; one is repeated where the next comes later than that."""
    shown, time, due = None, 0.0, 0
    for time, picture in pictures:
        # Times of films are rounded to a millisecond.
        while shown is not None and due * dt < time - 1e-3:
            yield shown
            due += 1
        shown = picture
    if shown is not None and due * dt <= time + 1e-3:
        yield shown


def fitted(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of a picture (H, W, 3), as large as fits, at `size` (height, width)."""
    cv2 = opencv()
    height, width = picture.shape[:2]
    scale = min(height / size[0], width / size[1])
    tall, wide = (max(1, round(side * scale)) for side in size)
    top, left = (height - tall) // 2, (width - wide) // 2
    middle = picture[top : top + tall, left : left + wide]
    return np.asarray(cv2.resize(middle, (size[1], size[0]), interpolation=cv2.INTER_AREA))
