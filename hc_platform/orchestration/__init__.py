"""Dagster, and only Dagster: assets, checks, schedules and sensors around the steps in `pipeline`."""
