"""What has been learned: the experiment from dream to twin, the judge in the simulator, parts of reports."""
