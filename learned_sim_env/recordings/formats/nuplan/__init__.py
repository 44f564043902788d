"""nuPlan: logs, and maps as GeoPackages."""
