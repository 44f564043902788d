"""MetaDrive's sensor for what is around a vehicle, with an answer that does not depend on memory addresses.

Imports MetaDrive, which is optional: to be imported where an engine is made.
"""

from __future__ import annotations

from metadrive.base_class.base_object import BaseObject
from metadrive.component.sensors.lidar import Lidar
from metadrive.component.vehicle.base_vehicle import BaseVehicle


class OrderedLidar(Lidar):
    """Gives the objects around a vehicle in the order of their spawning.

    MetaDrive's own gives sets, whose order differs from run to run, and its policies depend on it: "idm", which drives
    all traffic, for which of several vehicles is the one ahead, "expert" for which of two equally distant is nearer.
    """

    def get_surrounding_objects(self, vehicle: BaseVehicle, radius: float = 50) -> list[BaseObject]:
        """Those within `radius` [m], without `vehicle` itself."""
        found = super().get_surrounding_objects(vehicle, radius)
        return [thing for thing in self.engine.get_objects().values() if thing in found]

    @staticmethod
    def get_surrounding_vehicles(detected_objects: list[BaseObject]) -> list[BaseVehicle]:
        """The vehicles among objects, in the same order."""
        return [thing for thing in detected_objects if isinstance(thing, BaseVehicle)]
