"""Argoverse 2: scenarios of motion forecasting, sensor logs, and the maps of both."""
