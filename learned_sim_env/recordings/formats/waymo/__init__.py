"""Waymo Open Motion, and its scenes as MetaDrive, Nocturne and GPUDrive have kept them."""
