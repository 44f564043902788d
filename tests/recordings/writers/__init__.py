"""The world of `world` in the formats of others: each function writes a file or folder and returns its path."""

from tests.recordings.writers.of_argoverse2 import argoverse2, argoverse2_sensor
from tests.recordings.writers.of_comma import comma
from tests.recordings.writers.of_commonroad import commonroad
from tests.recordings.writers.of_gpudrive import gpudrive
from tests.recordings.writers.of_lanelet2 import lanelet2
from tests.recordings.writers.of_metadrive import metadrive
from tests.recordings.writers.of_nuplan import nuplan
from tests.recordings.writers.of_nuscenes import nuscenes
from tests.recordings.writers.of_rosbag import rosbag
from tests.recordings.writers.of_scenarionet import scenarionet
from tests.recordings.writers.of_table import table, write_csv
from tests.recordings.writers.of_waymo import scenario, tfrecord, waymo

__all__ = [
    "argoverse2",
    "argoverse2_sensor",
    "comma",
    "commonroad",
    "gpudrive",
    "lanelet2",
    "metadrive",
    "nuplan",
    "nuscenes",
    "rosbag",
    "scenario",
    "scenarionet",
    "table",
    "tfrecord",
    "waymo",
    "write_csv",
]
