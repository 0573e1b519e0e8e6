"""A utility's servers on the loopback, with made-up data in the true shape of the real ones.

What belongs here: synthetic layers (`synthetic`), their true numbers, and a server that answers as ArcGIS
does (`server`). What does not: real data, or anything that the platform itself needs to run.
"""

from hc_platform.demo.synthetic import SyntheticLayer, synthetic_layers, truth

__all__ = ["SyntheticLayer", "synthetic_layers", "truth"]
