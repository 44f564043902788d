"""Shapes of what stands and drives on the ground, see `mesh.Mesh`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from learned_sim_env.rendering.camera.mesh import Material, Mesh, MeshBuilder


def _wheels(b: MeshBuilder, at: Iterable[float], rx: float, rz: float) -> None:
    for x in at:
        for y in (-0.505, 0.505):
            b.disc(x, y, rz, rx, rz, Material.TYRE, detail=False)
            b.disc(x, 1.01 * y, rz, 0.5 * rx, 0.5 * rz, Material.METAL)


def _lights(b: MeshBuilder, z: tuple[float, float], width: float = 0.16) -> None:
    for side in (-1, 1):
        a = (side * 0.46 - width / 2 + (-side * width / 2), side * 0.46 + width / 2 + (-side * width / 2))
        b.patch("front", a, z, 0.503, Material.HEADLIGHT, detail=False)
        b.patch("back", a, z, -0.503, Material.TAILLIGHT, detail=False)


def _car() -> Mesh:
    b = MeshBuilder()
    b.box((-0.5, 0.5), (-0.5, 0.5), (0.14, 0.56), Material.BODY, top=(-0.49, 0.47, -0.47, 0.47))
    b.patch("front", (-0.4, 0.4), (0.18, 0.28), 0.502, Material.TRIM)
    b.patch("back", (-0.4, 0.4), (0.18, 0.28), -0.502, Material.TRIM)
    _lights(b, (0.40, 0.50))
    for y in (-0.40, 0.40):  # tyres below the bumpers
        b.patch("front", (y - 0.07, y + 0.07), (0.0, 0.16), 0.36, Material.TYRE)
        b.patch("back", (y - 0.07, y + 0.07), (0.0, 0.16), -0.36, Material.TYRE)
    _wheels(b, (-0.31, 0.30), 0.075, 0.225)
    b.box(
        (-0.44, 0.22),
        (-0.46, 0.46),
        (0.56, 1.0),
        Material.GLASS,
        tier=1,
        top=(-0.33, 0.04, -0.37, 0.37),
        roof=Material.BODY,
    )
    for y, s in ((-0.44, -1), (0.44, 1)):  # pillars between the windows
        for x0, x1 in ((-0.14, -0.10), (-0.40, -0.33)):
            low, high = 1.03 * y, 0.86 * y
            face = [(x1, low, 0.56), (x0, low, 0.56), (x0 + 0.03, high, 0.97), (x1 + 0.03, high, 0.97)]
            b.face(face if s > 0 else face[::-1], Material.BODY, decal=True, detail=True)
    return b.mesh()


def _van() -> Mesh:
    b = MeshBuilder()
    b.box((-0.5, 0.5), (-0.5, 0.5), (0.12, 0.5), Material.BODY)
    b.patch("front", (-0.42, 0.42), (0.14, 0.24), 0.502, Material.TRIM)
    _lights(b, (0.36, 0.46))
    _wheels(b, (-0.3, 0.32), 0.065, 0.16)
    b.box((-0.5, 0.40), (-0.5, 0.5), (0.5, 1.0), Material.BODY, tier=1, top=(-0.49, 0.24, -0.46, 0.46))
    windscreen = [(0.395, -0.42, 0.54), (0.395, 0.42, 0.54), (0.265, 0.4, 0.94), (0.265, -0.4, 0.94)]
    b.face(windscreen, Material.GLASS, decal=True)
    b.patch("back", (-0.36, 0.36), (0.58, 0.88), -0.502, Material.GLASS, detail=False)
    for side, at in (("left", 0.495), ("right", -0.495)):
        b.patch(side, (-0.4, 0.26), (0.56, 0.88), at, Material.GLASS, detail=False)
    return b.mesh()


def _truck() -> Mesh:
    b = MeshBuilder()
    b.box((-0.5, 0.26), (-0.5, 0.5), (0.26, 1.0), Material.CARGO)
    b.patch("back", (-0.44, 0.44), (0.3, 0.96), -0.502, Material.TRIM)
    b.patch("back", (-0.42, -0.02), (0.32, 0.94), -0.504, Material.CARGO)
    b.patch("back", (0.02, 0.42), (0.32, 0.94), -0.504, Material.CARGO)
    b.box((-0.5, 0.47), (-0.42, 0.42), (0.12, 0.26), Material.TRIM)
    for y in (-0.33, 0.33):
        b.patch("back", (y - 0.09, y + 0.09), (0.17, 0.23), -0.503, Material.TAILLIGHT, detail=False)
    _wheels(b, (-0.38, -0.24, 0.36), 0.055, 0.14)
    b.box((0.29, 0.5), (-0.5, 0.5), (0.16, 0.86), Material.BODY, top=(0.29, 0.48, -0.48, 0.48))
    b.patch("front", (-0.44, 0.44), (0.5, 0.76), 0.497, Material.GLASS, detail=False)
    for y in (-0.36, 0.36):
        b.patch("front", (y - 0.09, y + 0.09), (0.22, 0.3), 0.503, Material.HEADLIGHT, detail=False)
    for side, at in (("left", 0.495), ("right", -0.495)):
        b.patch(side, (0.34, 0.47), (0.5, 0.74), at, Material.GLASS)
    return b.mesh()


def _bike() -> Mesh:
    b = MeshBuilder()
    b.box((-0.4, 0.4), (-0.14, 0.14), (0.25, 0.5), Material.TRIM)
    for x in (-0.34, 0.34):
        for y in (-0.15, 0.15):
            b.disc(x, y, 0.2, 0.17, 0.2, Material.TYRE, detail=False)
    b.box((-0.2, 0.08), (-0.34, 0.34), (0.42, 0.84), Material.SHIRT, tier=1, top=(-0.1, 0.1, -0.24, 0.24))
    b.box((-0.06, 0.1), (-0.16, 0.16), (0.84, 1.0), Material.TRIM, tier=2)
    return b.mesh()


def _person() -> Mesh:
    b = MeshBuilder()
    for y in (-0.17, 0.17):
        b.box((-0.16, 0.16), (y - 0.13, y + 0.13), (0.0, 0.48), Material.TROUSERS)
    b.box((-0.24, 0.24), (-0.4, 0.4), (0.46, 0.84), Material.SHIRT, tier=1, top=(-0.2, 0.2, -0.32, 0.32))
    b.box((-0.16, 0.16), (-0.16, 0.16), (0.85, 1.0), Material.SKIN, tier=2, roof=Material.TRIM)
    return b.mesh()


def _cone() -> Mesh:
    b = MeshBuilder()
    b.box((-0.5, 0.5), (-0.5, 0.5), (0.0, 0.06), Material.TRIM)
    radii = (0.34, 0.25, 0.16, 0.08)
    for i, material in enumerate((Material.ORANGE, Material.WHITE, Material.ORANGE)):
        low, high = radii[i], radii[i + 1]
        z = (0.06 + i * 0.94 / 3, 0.06 + (i + 1) * 0.94 / 3)
        b.box((-low, low), (-low, low), z, material, tier=i + 1, top=(-high, high, -high, high))
    return b.mesh()


def _barrier() -> Mesh:
    b = MeshBuilder()
    for x in (-0.36, 0.36):
        b.box((x - 0.05, x + 0.05), (-0.5, 0.5), (0.0, 0.55), Material.TRIM)
    b.box((-0.5, 0.5), (-0.2, 0.2), (0.5, 1.0), Material.WHITE, tier=1)
    for side, at in (("left", 0.21), ("right", -0.21)):
        for x in (-0.5, -0.1, 0.3):
            b.patch(side, (x, x + 0.2), (0.5, 1.0), at, Material.RED, detail=False)
    return b.mesh()


def _tree() -> Mesh:
    b = MeshBuilder(flat=True)
    b.face([(0, -0.05, 0), (0, 0.05, 0), (0, 0.04, 0.5), (0, -0.04, 0.5)], Material.TRUNK)
    b.blob(0.0, 0.60, 0.50, 0.30, Material.LEAF_DARK, 1)
    b.blob(-0.14, 0.74, 0.32, 0.24, Material.LEAF, 2)
    b.blob(0.18, 0.64, 0.26, 0.20, Material.LEAF, 3)
    b.blob(0.08, 0.82, 0.22, 0.15, Material.LEAF_LIGHT, 4)
    return b.mesh()


def _conifer() -> Mesh:
    b = MeshBuilder(flat=True)
    b.face([(0, -0.05, 0), (0, 0.05, 0), (0, 0.05, 0.2), (0, -0.05, 0.2)], Material.TRUNK)
    for i, (z0, z1, half) in enumerate(((0.12, 0.58, 0.5), (0.36, 0.8, 0.36), (0.6, 1.0, 0.22))):
        b.tier = i + 1
        b.face([(0, -half, z0), (0, half, z0), (0, 0, z1)], Material.NEEDLE_DARK)
        b.face([(0, -half, z0), (0, 0.1 * half, z0), (0, 0, z1)], Material.NEEDLE)
    return b.mesh()


def _bush() -> Mesh:
    b = MeshBuilder(flat=True)
    b.blob(0.0, 0.42, 0.5, 0.44, Material.LEAF_DARK, 1)
    b.blob(-0.12, 0.58, 0.3, 0.3, Material.LEAF, 2)
    return b.mesh()


def _house() -> Mesh:
    b = MeshBuilder()
    b.box((-0.5, 0.5), (-0.5, 0.5), (0.0, 0.58), Material.WALL)
    for side, at in (("left", 0.503), ("right", -0.503)):
        for x in (-0.36, -0.04, 0.24):
            b.patch(side, (x, x + 0.14), (0.22, 0.44), at, Material.WINDOW)
    for side, at in (("front", 0.503), ("back", -0.503)):
        b.patch(side, (-0.36, -0.16), (0.22, 0.44), at, Material.WINDOW)
        b.patch(side, (0.08, 0.26), (0.0, 0.38), at, Material.TRIM)
    b.box((-0.53, 0.53), (-0.56, 0.56), (0.56, 1.0), Material.ROOF, tier=1, top=(-0.53, 0.53, -0.001, 0.001))
    for x in (0.532, -0.532):
        gable = [(x, -0.52, 0.57), (x, 0.52, 0.57), (x, 0.0, 0.98)]
        b.face(gable if x > 0 else gable[::-1], Material.WALL, decal=True)
    return b.mesh()


def _block() -> Mesh:
    b = MeshBuilder()
    b.box((-0.5, 0.5), (-0.5, 0.5), (0.0, 1.0), Material.WALL, roof=Material.ROOF)
    for z in np.arange(0.08, 0.9, 0.15):
        for side, at in (("left", 0.502), ("right", -0.502), ("front", 0.502), ("back", -0.502)):
            for x in (-0.44, -0.12, 0.2):
                b.patch(side, (x, x + 0.24), (float(z), float(z) + 0.08), at, Material.WINDOW)
    return b.mesh()


def _lamp() -> Mesh:
    b = MeshBuilder()
    b.box((-0.5, 0.5), (-0.5, 0.5), (0.0, 1.0), Material.METAL, top=(-0.35, 0.35, -0.35, 0.35))
    b.box((0.0, 8.5), (-0.3, 0.3), (0.985, 1.0), Material.METAL, tier=1)
    b.box((6.5, 9.5), (-0.9, 0.9), (0.965, 0.99), Material.LAMP, tier=2, roof=Material.METAL)
    return b.mesh()


def _post() -> Mesh:
    b = MeshBuilder()
    b.box((-0.5, 0.5), (-0.5, 0.5), (0.0, 1.0), Material.WHITE)
    for side, at in (("left", 0.51), ("right", -0.51), ("front", 0.51), ("back", -0.51)):
        b.patch(side, (-0.5, 0.5), (0.62, 0.86), at, Material.TRIM)
    return b.mesh()


def _traffic_light() -> Mesh:
    b = MeshBuilder()
    b.box((-0.2, 0.2), (-0.2, 0.2), (0.0, 0.72), Material.METAL)
    b.box((-0.5, 0.5), (-0.5, 0.5), (0.7, 1.0), Material.TRIM, tier=1)
    for side, at in (("front", 0.52), ("back", -0.52)):
        b.patch(side, (-0.3, 0.3), (0.90, 0.98), at, Material.RED_LIGHT, detail=False)
    return b.mesh()


MESHES = {
    "car": _car(),
    "van": _van(),
    "truck": _truck(),
    "bike": _bike(),
    "person": _person(),
    "cone": _cone(),
    "barrier": _barrier(),
    "tree": _tree(),
    "conifer": _conifer(),
    "bush": _bush(),
    "house": _house(),
    "block": _block(),
    "lamp": _lamp(),
    "post": _post(),
    "traffic_light": _traffic_light(),
}
