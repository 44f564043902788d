"""Shapes to flat faces in space, and faces to a picture of their numbers, the nearer painted over the farther."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_sim_env.optional import opencv
from learned_sim_env.rendering.camera.mesh import Mesh
from learned_sim_env.rendering.camera.meshes import MESHES
from learned_sim_env.rendering.camera.things import SHAPES, Things
from learned_sim_env.spec import CameraSpec

NEAR = 0.3  # [m] Nothing nearer to the camera than this is drawn.
DETAIL_REACH = {"house": 70.0, "block": 90.0, "truck": 45.0}  # [m] up to which small faces are drawn,
OTHER_DETAIL_REACH = 30.0  # of anything else.
_MESHES = [MESHES[name] for name in SHAPES]
_DETAIL_REACH = np.array([DETAIL_REACH.get(name, OTHER_DETAIL_REACH) for name in SHAPES])
SHIFT = 3  # Binary places of coordinates that OpenCV draws at.


@dataclass(frozen=True, eq=False)
class Faces:
    """F faces of all things, ego frame, far things first, and within a thing in painting order.

    corners: (F, 8, 3) float32 [m]. normals: (F, 3) float32, unit, outwards. materials: (F,) int. things: (F,) int, rows
    of `Things`. flat: (F,) bool, seen from both sides.
    """

    corners: np.ndarray
    normals: np.ndarray
    materials: np.ndarray
    things: np.ndarray
    flat: np.ndarray


def faces_of(things: Things, viewpoint: np.ndarray) -> Faces:
    """All faces of things, ordered as seen from `viewpoint` (3,) float [m], ego frame."""
    distance = _nearest(things, viewpoint)
    corners, materials, rows, order, flat = [], [], [], [], []
    for shape in np.unique(things.shapes):
        members = np.flatnonzero(things.shapes == shape)
        mesh: Mesh = _MESHES[shape]
        place, size = things.poses[members], things.sizes[members].astype(np.float32)
        offset = place[:, :2] - viewpoint[:2]
        heading = np.arctan2(-offset[:, 1], -offset[:, 0]) if mesh.flat else place[:, 2]
        c, s = (f(heading).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
        local = mesh.corners * size[:, None, None, :]
        x, y = local[..., 0], local[..., 1]
        world = np.stack([x * c - y * s, x * s + y * c, local[..., 2]], -1)
        world[..., :2] += place[:, None, None, :2].astype(np.float32)
        middle = mesh.centres * size[:, None]
        mx, my = middle[..., 0], middle[..., 1]
        cx, cy = c[:, :, 0], s[:, :, 0]
        along = np.hypot(mx * cx - my * cy + offset[:, None, 0], mx * cy + my * cx + offset[:, None, 1])
        keep = ~mesh.details | (distance[members] < _DETAIL_REACH[shape])[:, None]
        n = keep.sum()
        corners.append(world[keep])
        materials.append(np.broadcast_to(mesh.materials, keep.shape)[keep])
        rows.append(np.broadcast_to(members[:, None], keep.shape)[keep])
        tiers, decals = (np.broadcast_to(a, keep.shape)[keep] for a in (mesh.tiers, mesh.decals))
        away = -distance[members].repeat(keep.sum(1))
        order.append(np.stack([decals, -along[keep], tiers, rows[-1], away]))
        flat.append(np.full(n, mesh.flat))
    if not corners:
        none = np.zeros(0, np.int64)
        return Faces(np.zeros((0, 8, 3), np.float32), np.zeros((0, 3), np.float32), none, none, none.astype(bool))
    points = np.concatenate(corners)
    normal = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    sequence = np.lexsort(np.concatenate(order, axis=1))
    return Faces(
        points[sequence],
        normal[sequence],
        np.concatenate(materials)[sequence],
        np.concatenate(rows)[sequence],
        np.concatenate(flat)[sequence],
    )


def paint_numbers(faces: Faces, camera: CameraSpec, samples: int) -> np.ndarray:
    """The picture of face numbers: (samples H, samples W) int32, 0 where there is none, else 1 + the row of `faces`."""
    cv2 = opencv()
    image = np.zeros((camera.height * samples, camera.width * samples), np.int32)
    eye = np.asarray(camera.position, np.float32)
    towards = ((eye - faces.corners[:, 0]) * faces.normals).sum(-1)
    x, y, depth = np.moveaxis((faces.corners - eye) @ camera.rotation.T.astype(np.float32), -1, 0)
    # Wider than the picture by nothing: a face is out if all of its corners are beyond one edge.
    wide, high = camera.width / 2 / camera.focal_length, camera.height / 2 / camera.focal_length
    seen = (faces.flat | (towards > 0)) & (depth > NEAR).any(1)
    for beyond in (x > wide * depth, x < -wide * depth, y > high * depth, y < -high * depth):
        seen &= ~beyond.all(1)
    chosen = np.flatnonzero(seen)
    x, y, depth = x[chosen], y[chosen], depth[chosen]
    crossing = (depth <= NEAR).any(1)
    scale = camera.focal_length * samples
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = np.stack([x / depth * scale + image.shape[1] / 2, y / depth * scale + image.shape[0] / 2], -1)
    fixed = _fixed_point(pixels)
    for i, number, cut in zip(range(len(chosen)), (chosen + 1).tolist(), crossing.tolist()):
        if cut:
            polygon = clipped(np.stack([x[i], y[i], depth[i]], -1))
            cv2.fillPoly(image, [outline(polygon, camera, samples)], number, 8, SHIFT)
        else:
            cv2.fillConvexPoly(image, fixed[i], number, 8, SHIFT)
    return image


def outline(polygon: np.ndarray, camera: CameraSpec, samples: int) -> np.ndarray:
    """(N, 2) int32, what OpenCV draws with `SHIFT`: a camera-frame polygon (N, 3), all of it farther than `NEAR`, in a
    picture that is `samples` times as fine as the camera's.
    """
    middle = np.array([camera.width, camera.height]) * samples / 2
    return _fixed_point(polygon[:, :2] / polygon[:, 2:] * (camera.focal_length * samples) + middle)


def _fixed_point(places: np.ndarray) -> np.ndarray:
    """Places (..., 2) in a picture as OpenCV takes them with `SHIFT`, int32."""
    # Pixel centres lie at whole numbers there; far outside, corners would overflow.
    return np.rint(np.clip(np.nan_to_num(places - 0.5), -4000, 4000) * (1 << SHIFT)).astype(np.int32)


def clipped(polygon: np.ndarray) -> np.ndarray:
    """The part of a camera-frame polygon (N, 3) that is farther than `NEAR` (Sutherland and Hodgman, 1974)."""
    out = []
    for a, b in zip(polygon, np.roll(polygon, -1, 0)):
        if a[2] >= NEAR:
            out.append(a)
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            out.append(a + (b - a) * ((NEAR - a[2]) / (b[2] - a[2])))
    return np.array(out)


def _nearest(things: Things, viewpoint: np.ndarray) -> np.ndarray:
    """(N,) metres from the viewpoint to the nearest point of each footprint."""
    offset = viewpoint[:2] - things.poses[:, :2]
    c, s = np.cos(things.poses[:, 2]), np.sin(things.poses[:, 2])
    x, y = offset[:, 0] * c + offset[:, 1] * s, offset[:, 1] * c - offset[:, 0] * s
    half = things.sizes[:, :2] / 2
    return np.hypot(np.maximum(np.abs(x) - half[:, 0], 0), np.maximum(np.abs(y) - half[:, 1], 0))
