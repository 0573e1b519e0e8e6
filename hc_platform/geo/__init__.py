"""Geometry as columns: what each is, which areas and lines it lies in or by, and whose they are (docs/joins.md)."""
