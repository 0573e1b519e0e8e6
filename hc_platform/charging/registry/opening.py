"""Open the registry that a setting names.

What belongs here: from one text to a registry. What does not: the registries.
"""

from pathlib import Path

from hc_platform.charging.registry.base import Registry
from hc_platform.charging.registry.sqlite import SqliteRegistry


def open_registry(where: str) -> Registry:
    """A path: SQLite, made where absent. Raises ValueError for any other address."""
    if "://" in where:
        raise ValueError(f"the registry {where!r} is neither a path nor dynamodb://")
    return SqliteRegistry(Path(where))
