"""Charge control: tariffs, MOER, decisions and commands for registered EV chargers."""
