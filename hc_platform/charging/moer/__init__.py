"""The marginal operating emissions rate (MOER): readings, whether they can be trusted, and WattTime's API."""
