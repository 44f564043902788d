"""All static props, the friction trigger and the empty actor."""

from __future__ import annotations

from learned_sim_env.carla_standin.catalogue.blueprint import Attribute, Blueprint, halved, names

# Id, then length, width and height [m].
_TABLE = """
advertisement 1.549 0.287 2.443, aporosatree 12.958 12.585 15.633, atm 0.713 0.874 2.276, barbeque 0.946 0.499 1.264
barrel 0.460 0.471 0.807, bench01 1.544 0.736 0.970, bench02 1.564 0.545 0.509, bench03 1.583 0.513 0.513
bike helmet 0.186 0.277 0.171, bin 0.548 0.638 1.059, box01 0.652 0.652 0.692, box02 0.649 0.649 0.649
box03 0.661 0.670 0.649, briefcase 0.543 0.181 0.433, brokentile01 0.134 0.176 0.007, brokentile02 0.210 0.152 0.008
brokentile03 0.154 0.145 0.009, brokentile04 0.130 0.126 0.010, busstop 3.876 1.894 2.739
busstoplb 1.894 3.876 2.739, calibrator 1.548 0.690 0.202, chainbarrier 1.494 0.239 0.889
chainbarrierend 0.239 0.239 0.889, clothcontainer 1.239 1.887 1.810, clothesline 6.652 1.118 2.061
coconutpalm 8.604 8.886 20.315, colacan 0.068 0.072 0.110, constructioncone 0.344 0.344 0.586
container 1.932 1.012 1.714, creasedbox01 0.809 0.713 0.118, creasedbox02 1.633 0.713 0.212
creasedbox03 1.669 0.713 0.022, cypresstree 4.610 4.628 15.679, dirtdebris01 1.857 1.514 0.149
dirtdebris02 1.857 1.514 0.149, dirtdebris03 1.857 1.514 0.188, doghouse 1.079 1.272 1.094
foodcart 2.285 4.638 3.573, fountain 8.402 8.402 6.924, garbage01 0.053 0.053 0.087, garbage02 0.053 0.053 0.009
garbage03 0.060 0.059 0.079, garbage04 0.057 0.056 0.069, garbage05 0.232 0.233 0.058, garbage06 0.366 0.213 0.077
gardenlamp 0.297 0.281 0.648, glasscontainer 1.955 2.009 1.788, gnome 0.367 0.376 0.883, guitarcase 1.242 0.125 0.494
haybale 1.248 1.193 1.195, haybalelb 1.248 1.193 1.195, ironplank 1.452 1.174 0.021, kiosk_01 1.625 1.654 3.245
mailbox 0.527 0.438 1.157, maptable 1.573 0.617 1.181, mobile 0.080 0.007 0.166, motorhelmet 0.200 0.259 0.258
pergola 5.029 5.085 3.542, plantpot01 1.089 0.476 0.557, plantpot02 1.051 0.431 0.487, plantpot03 1.051 0.431 0.487
plantpot04 4.967 0.737 0.125, plantpot05 0.400 0.400 0.280, plantpot06 1.593 1.593 0.850
plantpot07 0.495 0.476 0.557, plantpot08 0.530 0.530 0.489, plasticbag 0.311 0.403 0.552
plasticchair 0.730 0.750 1.271, plastictable 2.482 2.482 2.480, platformgarbage01 3.633 1.711 0.332
purse 0.159 0.333 0.585, shoppingbag 0.474 0.243 0.601, shoppingcart 0.669 1.208 1.079
shoppingtrolley 0.506 0.331 1.094, slide 0.943 4.122 1.977, streetbarrier 1.215 0.372 1.069
streetfountain 0.287 0.670 1.259, streetsign 1.064 0.125 2.154, streetsign01 2.470 0.303 3.878
streetsign04 1.171 0.125 2.773, swing 4.105 1.577 2.572, swingcouch 1.357 2.362 2.249, table 2.156 2.152 0.846
trafficcone01 0.883 0.882 1.133, trafficcone02 0.456 0.395 1.183, trafficwarning 2.373 2.871 3.570
trampoline 4.132 4.132 2.802, trashbag 0.378 0.430 0.702, trashcan01 0.635 0.568 0.848, trashcan02 0.524 0.514 1.045
trashcan03 0.629 0.545 0.934, trashcan04 0.789 0.580 1.016, trashcan05 0.789 0.580 1.016
travelcase 0.567 0.328 1.263, vendingmachine 0.873 1.102 2.108, warningaccident 1.305 1.055 1.860
warningconstruction 1.305 1.055 1.860, wateringcan 0.070 0.194 0.135
"""
# What an id begins with, and CARLA's tag; Static for all others.
_TAGS, _STATIC = {"aporosatree": 9, "coconutpalm": 9, "cypresstree": 9, "streetsign": 8}, 20
# The longest side [m] up to which a prop is called so.
_SIZES = ((0.3, "tiny"), (1.0, "small"), (2.0, "medium"), (5.0, "big"), (float("inf"), "huge"))


def _prop(row: str) -> Blueprint:
    model, *numbers = row.strip().rsplit(maxsplit=3)
    name, (length, width, height) = f"static.prop.{model}", map(float, numbers)
    size = next(word for most, word in _SIZES if max(length, width, height) <= most)
    tag = next((tag for start, tag in _TAGS.items() if model.startswith(start)), _STATIC)
    attributes = (*names(name, "prop"), Attribute("size", "str", size, modifiable=False))
    return Blueprint(name, halved(length, width, height), attributes, tags=(tag,))


def _mesh() -> Blueprint:
    attributes = (
        *names("static.prop.mesh", "prop"),
        Attribute("mesh_path", "str", ""),
        Attribute("scale", "float", "1.0"),
        Attribute("mass", "float", "0.0"),
    )
    return Blueprint("static.prop.mesh", attributes=attributes, tags=(_STATIC,))


def _friction() -> Blueprint:
    name = "static.trigger.friction"
    values = (("friction", "3.5"), ("extent_x", "1.0"), ("extent_y", "1.0"), ("extent_z", "1.0"))
    return Blueprint(name, attributes=(*names(name, "default"), *(Attribute(k, "float", v) for k, v in values)))


PROPS = (
    *(_prop(row) for row in _TABLE.replace("\n", ",").strip(",").split(",")),
    _mesh(),
    _friction(),
    Blueprint("util.actor.empty", attributes=names("util.actor.empty", "default")),
)
