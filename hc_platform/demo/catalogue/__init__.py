"""Every utility of the catalogue, made up from its config: layers in their true shape, and what they must come out as.

What belongs here: drawing a config's fields with their traps (`plan`, `spelling`, `limits`, `packing`, `layers`), the
truth (`meaning`, `truth`), one server for all hosts (`hosts`). What does not: the six utilities of `hc demo`, whose
shapes are drawn by hand (`hc_platform.demo.synthetic`).
"""
