"""The safe palette can be told apart however one sees colours."""

from __future__ import annotations

import numpy as np
import pytest

from learned_sim_env.display.theme import THEMES, after, theme
from learned_sim_env.spec import PALETTE

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
SEEN = {
    "normally": np.eye(3),
    "with protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "with deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "with tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def nearest(colours: np.ndarray, seen: object) -> float:
    """The smallest distance in CIE Lab between two of the colours (N, 3) uint8."""
    c = colours / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = (linear @ np.transpose(seen)).clip(0, 1) @ XYZ.T / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], -1)
    distance = np.linalg.norm(lab[:, None] - lab, axis=-1)
    return float(distance[~np.eye(len(lab), dtype=bool)].min())


@pytest.mark.parametrize("how", SEEN)
def test_all_classes_differ(how):
    assert nearest(theme("colour-blind safe").classes, SEEN[how]) > 30


def test_the_contracts_own_palette_would_not_do():
    assert min(nearest(PALETTE, seen) for seen in SEEN.values()) < 15


def test_one_follows_the_other():
    first, second = THEMES
    assert (after(first), after(second)) == (second, first)
    assert np.array_equal(theme("standard").classes, PALETTE)


def test_unknown_palette():
    with pytest.raises(ValueError, match="Did you mean 'standard'"):
        theme("standart")
