"""The platform's steps, from a config to committed tables, without Dagster.

What belongs here: the order of things: which rows are read from the lake, which pure functions turn them, what is
committed when. The assets, `hc ingest --dry-run` and the tests call these same steps.
What does not: protocols (`sources`), meaning (`hosting_capacity`), scheduling (`orchestration`).
"""
