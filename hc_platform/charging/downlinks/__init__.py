"""Downlinks: how bytes reach a charger, and how news of them come back."""
