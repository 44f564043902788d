"""All vehicles."""

from __future__ import annotations

from learned_sim_env.carla_standin.catalogue.blueprint import Attribute, Blueprint, halved, names

# Id, length, width, height [m], base type, generation, whether it has lights and doors that open, special type.
_TABLE = """
audi.a2                     3.705  1.789  1.549  car         1  -
audi.etron                  4.856  2.033  1.649  car         1  -   electric
audi.tt                     4.181  1.994  1.385  car         1  -
bh.crossbike                1.509  0.866  1.612  bicycle     1  -
bmw.grandtourer             4.611  2.242  1.667  car         1  -
carlamotors.carlacola       5.204  2.627  2.467  truck       1  -
carlamotors.european_hgv    7.936  2.891  3.462  truck       2  -
carlamotors.firetruck       8.468  2.891  3.827  truck       2  LD  emergency
chevrolet.impala            5.357  2.033  1.411  car         1  -
citroen.c3                  3.988  1.851  1.617  car         1  -
diamondback.century         1.656  0.582  1.620  bicycle     1  -
dodge.charger_2020          5.008  1.882  1.535  car         2  LD
dodge.charger_police        4.974  2.038  1.542  car         1  -   emergency
dodge.charger_police_2020   5.238  1.930  1.638  car         2  LD  emergency
ford.ambulance              6.366  2.351  2.431  van         2  LD  emergency
ford.crown                  5.366  1.801  1.575  car         2  LD  taxi
ford.mustang                4.718  1.895  1.301  car         1  -
gazelle.omafiets            1.843  0.659  1.776  bicycle     1  -
harley-davidson.low_rider   2.350  0.766  1.649  motorcycle  1  -
jeep.wrangler_rubicon       3.866  1.905  1.878  car         1  -
kawasaki.ninja              2.044  0.797  1.523  motorcycle  1  -
lincoln.mkz_2017            4.902  2.128  1.511  car         1  -
lincoln.mkz_2020            4.892  1.837  1.490  car         2  LD
mercedes.coupe              5.027  2.152  1.651  car         1  -
mercedes.coupe_2020         4.674  1.812  1.442  car         2  LD
mercedes.sprinter           5.915  1.988  2.561  van         2  LD
micro.microlino             2.207  1.481  1.376  car         1  -   electric
mini.cooper_s               3.806  1.970  1.475  car         1  -
mini.cooper_s_2021          4.553  2.097  1.767  car         2  LD
mitsubishi.fusorosa        10.273  3.944  4.253  bus         2  L
nissan.micra                3.633  1.845  1.501  car         1  -
nissan.patrol               4.605  1.932  1.855  car         1  -
nissan.patrol_2021          5.566  2.150  2.045  car         2  LD
seat.leon                   4.193  1.816  1.474  car         1  -
tesla.cybertruck            6.274  2.390  2.098  truck       2  -   electric
tesla.model3                4.792  2.163  1.488  car         1  -   electric
toyota.prius                4.514  2.007  1.525  car         1  -   electric
vespa.zx125                 1.817  0.866  1.590  motorcycle  1  -
volkswagen.t2               4.480  2.069  2.038  van         1  -
volkswagen.t2_2021          4.442  1.775  1.987  van         2  LD
yamaha.yzf                  2.191  0.866  1.530  motorcycle  1  -
"""
# By base type: CARLA's tag, and [kg] of a usual one, with its rider.
_CLASSES = {
    "car": (14, 1500.0),
    "van": (15, 2500.0),
    "truck": (15, 9000.0),
    "bus": (16, 7000.0),
    "motorcycle": (18, 280.0),
    "bicycle": (19, 90.0),
}
_COLOURS = ("60,90,140", "150,40,40", "220,220,220")


def _vehicle(row: str) -> Blueprint:
    model, length, width, height, base, generation, has, *special = row.split()
    tag, mass = _CLASSES[base]
    name, ridden = f"vehicle.{model}", base in ("bicycle", "motorcycle")
    attributes = (
        *names(name, "autopilot", "scenario", "ego_vehicle", "hero"),
        Attribute("number_of_wheels", "int", "2" if ridden else "4", modifiable=False),
        Attribute("base_type", "str", base, modifiable=False),
        Attribute("special_type", "str", "".join(special), modifiable=False),
        Attribute("object_type", "str", "", modifiable=False),
        Attribute("generation", "int", generation, modifiable=False),
        Attribute("has_lights", "bool", str("L" in has).lower(), modifiable=False),
        Attribute("has_dynamic_doors", "bool", str("D" in has).lower(), modifiable=False),
        Attribute("sticky_control", "bool", "true"),
        Attribute("terramechanics", "bool", "false"),
        Attribute("color", "color", _COLOURS[0], _COLOURS),
        *((Attribute("driver_id", "int", "0", ("0",)),) if ridden else ()),
    )
    extent = halved(float(length), float(width), float(height))
    return Blueprint(name, extent, attributes, mass=mass, tags=(tag,))


VEHICLES = tuple(_vehicle(row) for row in _TABLE.strip().splitlines())
