"""Geometry as columns: centroids, boxes, lengths, order in space."""
