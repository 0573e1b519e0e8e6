"""Tariffs: what a plan's hours cost, relative to each other, at any instant."""
