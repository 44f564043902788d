"""What the contract's cameras would have seen, from pictures of recorded ones.

A picture is turned about the recorded camera's optical centre: what that sees in a direction, the contract's camera is
shown in the same direction. Where both centres are apart, as far as `Views.notes` say, near things are off by that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from learned_sim_env.optional import opencv
from learned_sim_env.recordings.drives import Drive
from learned_sim_env.recordings.pictures import SHRINKS
from learned_sim_env.recordings.recording import Camera
from learned_sim_env.spec import CONTRACTS, CameraSpec

# Samples in a pixel, along each side.
FINE = 4
# A view of which less is covered by recorded cameras is not given: most of it would be made up.
LEAST_COVERED = 0.7
# [s] A picture is that of a moment if it is no farther from it: half the time between those of a slow camera.
NEAR = 0.06


@dataclass(frozen=True, eq=False)
class Views:
    """Of one drive, by modality: frames (T + 1, H, W, 3) uint8 and where they are known, (T + 1,) bool.

    covered: by modality, the share of its pixels that recorded cameras see, also of those that are not given. The other
    pixels repeat the nearest that is seen. notes: sentences.
    """

    frames: Mapping[str, np.ndarray]
    known: Mapping[str, np.ndarray]
    covered: Mapping[str, float]
    notes: tuple[str, ...] = ()


NO_VIEWS = Views({}, {}, {})


def views_of(
    cameras: Sequence[Camera], drive: Drive, specs: Mapping[str, CameraSpec] | None = None, read: bool = True
) -> Views:
    """Views of a drive, by the contract's cameras `specs`. read: if not, only how much is covered is told."""
    if specs is None:
        specs = {m.name: m.camera for m in CONTRACTS["driving-camera"].cameras if m.camera is not None}
    usable = [c for c in cameras if c.matrix is not None and c.rotation is not None]
    notes = []
    if left_out := [c.name for c in cameras if c not in usable]:
        notes.append(f"cameras without calibration are left out: {', '.join(left_out)}")
    if not usable:
        return Views({}, {}, {}, tuple(notes))
    sizes = [_size(camera) for camera in usable]
    plans = {name: _Plan(spec, usable, sizes) for name, spec in specs.items()}
    covered = {name: plan.covered for name, plan in plans.items()}
    notes += [_told(name, plan, specs[name], usable, drive.car.vehicle.rear) for name, plan in plans.items()]
    plans = {name: plan for name, plan in plans.items() if plan.covered >= LEAST_COVERED}
    if not read or not plans:
        return Views({}, {}, covered, tuple(notes))
    return _seen(usable, plans, drive, covered, notes)


def _seen(
    cameras: Sequence[Camera], plans: dict[str, _Plan], drive: Drive, covered: dict[str, float], notes: list[str]
) -> Views:
    times = drive.start + drive.dt * np.arange(len(drive) + 1)
    known = {name: np.ones(len(times), bool) for name in plans}
    frames = {name: np.zeros((len(times), *plan.shape, 3), np.uint8) for name, plan in plans.items()}
    for k, camera in enumerate(cameras):
        using = {name: plan for name, plan in plans.items() if k in plan.used}
        if not using:
            continue
        numbers, near = _nearest(camera.times, times)
        wanted, where = np.unique(numbers[near], return_inverse=True)
        moments, there, unread = np.flatnonzero(near), np.zeros(len(times), bool), 0
        shrink = min(plan.shrink[k] for plan in using.values())
        for i, picture in enumerate(camera.pictures.read(wanted.tolist(), shrink)):
            if picture is None:
                unread += 1
                continue
            rows = moments[where == i]
            there[rows] = True
            for name, plan in using.items():
                for row in rows:
                    plan.show(frames[name][row], picture, k, shrink)
        if unread:
            notes.append(f"{unread} of {len(wanted)} pictures of {camera.name} cannot be read")
        for name in using:
            known[name] &= there
    for name, mask in known.items():
        frames[name] = plans[name].filled(frames[name])
        frames[name][~mask] = 0
    given = [name for name in frames if known[name].any()]
    notes += [f"{name}: no pictures of the time of the drive" for name in frames if name not in given]
    return Views({n: frames[n] for n in given}, {n: known[n] for n in given}, covered, tuple(notes))


class _Plan:
    """Which recorded camera shows each of a view's pixels, and where in its pictures.

    Of several that see a whole pixel, the camera whose axis is nearest to its direction.
    """

    def __init__(self, spec: CameraSpec, cameras: Sequence[Camera], sizes: Sequence[tuple[int, int]]):
        self.shape = (spec.height, spec.width)
        rows = (np.arange(spec.height * FINE) + 0.5) / FINE
        columns = (np.arange(spec.width * FINE) + 0.5) / FINE
        rays = spec.rays(rows[:, None], columns[None])
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        best = np.zeros(self.shape)
        self._owner = np.full(self.shape, -1)
        self._places: dict[int, np.ndarray] = {}
        self.shrink: dict[int, int] = {}
        for k, (camera, (height, width)) in enumerate(zip(cameras, sizes)):
            assert camera.matrix is not None
            place, ahead = project(camera, rays)
            inside = (ahead > 0) & (place >= 0).all(-1) & (place <= (width, height)).all(-1)
            ahead = np.where(inside, ahead, 0.0).reshape(spec.height, FINE, spec.width, FINE).min((1, 3))
            self._owner = np.where(ahead > best, k, self._owner)
            best = np.maximum(best, ahead)
            self._places[k] = place.astype(np.float32)
            # As many pixels as there are samples, or a few more.
            ratio = camera.matrix[0, 0] / (spec.focal_length * FINE)
            self.shrink[k] = max(s for s in SHRINKS if s <= max(ratio, 1.0))
        self.used = set(np.unique(self._owner).tolist()) - {-1}
        self.covered = float((self._owner >= 0).mean())

    def show(self, frame: np.ndarray, picture: np.ndarray, k: int, shrink: int) -> None:
        """Write the pixels of a frame (H, W, 3) that camera `k` shows in a picture of it."""
        cv2 = opencv()
        # OpenCV counts from the middle of the first pixel.
        samples = cv2.remap(
            picture, self._places[k] / shrink - 0.5, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        mean = cv2.resize(samples, self.shape[::-1], interpolation=cv2.INTER_AREA)
        np.copyto(frame, mean, where=(self._owner == k)[..., None])

    def filled(self, frames: np.ndarray) -> np.ndarray:
        """Frames (N, H, W, 3) in which pixels that no camera sees repeat the nearest that one does."""
        cv2 = opencv()
        unseen = self._owner < 0
        if not unseen.any():
            return frames
        _, labels = cv2.distanceTransformWithLabels(
            unseen.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        at = np.zeros(labels.max() + 1, np.int64)
        at[labels[~unseen]] = np.flatnonzero(~unseen)
        return frames.reshape(len(frames), -1, 3)[:, at[labels].ravel()].reshape(frames.shape)


def project(camera: Camera, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row (..., 2) at which a camera sees directions (..., 3) of the car's frame; pixel 0 is at 0.5.

    Second value: (...) cosine of the angle to its axis for rays of length 1, -1 where the lens cannot see.
    """
    assert camera.matrix is not None and camera.rotation is not None
    x, y, depth = np.moveaxis(rays @ camera.rotation.T, -1, 0)
    ahead = np.where(depth > 1e-6, depth, -1.0)
    x, y = x / np.maximum(depth, 1e-6), y / np.maximum(depth, 1e-6)
    if camera.distortion is not None:
        # Brown's model as OpenCV has it (docs.opencv.org, "Camera Calibration and 3D Reconstruction").
        k1, k2, p1, p2, k3 = camera.distortion
        squared = x * x + y * y
        # Beyond the radius at which pictures fold back, nothing is seen.
        radii = np.linspace(0.0, 3.0, 601)[1:]
        growing = 1 + 3 * k1 * radii**2 + 5 * k2 * radii**4 + 7 * k3 * radii**6 > 0
        limit = 3.0 if growing.all() else float(radii[int(np.argmin(growing))])
        ahead = np.where(squared < limit**2, ahead, -1.0)
        squared = np.minimum(squared, limit**2)
        scale = 1 + squared * (k1 + squared * (k2 + squared * k3))
        x, y = (
            x * scale + 2 * p1 * x * y + p2 * (squared + 2 * x * x),
            y * scale + p1 * (squared + 2 * y * y) + 2 * p2 * x * y,
        )
    (fx, skew, cx), (_, fy, cy) = camera.matrix[:2]
    # Calibrations count from the middle of the first pixel.
    return np.stack([fx * x + skew * y + cx + 0.5, fy * y + cy + 0.5], -1), ahead


def _size(camera: Camera) -> tuple[int, int]:
    """Height and width of a camera's pictures."""
    if camera.size is not None:
        return camera.size
    for picture in camera.pictures.read(range(min(len(camera.times), 20))):
        if picture is not None:
            return picture.shape[0], picture.shape[1]
    return 0, 0


def _nearest(stamps: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each moment (N,), the number of the nearest picture, and whether it is near enough."""
    if len(stamps) == 1:
        return np.zeros(len(times), np.int64), np.abs(stamps[0] - times) <= NEAR
    after = np.clip(np.searchsorted(stamps, times), 1, len(stamps) - 1)
    number = after - (times - stamps[after - 1] < stamps[after] - times)
    return number, np.abs(stamps[number] - times) <= NEAR


def _told(name: str, plan: _Plan, spec: CameraSpec, cameras: Sequence[Camera], rear: float) -> str:
    """How much of a view is covered, and from where."""
    if not plan.used:
        return f"{name}: no recorded camera sees it"
    used = [cameras[k] for k in sorted(plan.used)]
    said = f"{name}: {plan.covered:.0%} of its pixels are seen, by {', '.join(c.name for c in used)}"
    places = [c.position for c in used if c.position is not None]
    if places:
        away = max(float(np.linalg.norm(p - np.asarray(spec.position) - (rear, 0.0, 0.0))) for p in places)
        said += f", up to {away:.1f} m from where the contract's camera is"
    return said + ("" if plan.covered >= LEAST_COVERED else f": too few (of {LEAST_COVERED:.0%}) for a dataset")
