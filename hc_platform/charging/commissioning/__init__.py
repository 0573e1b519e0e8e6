"""Commissioning: what can be said of a new device's utility, place and grid region, with ambiguity shown."""
