"""hc_platform: where the US distribution grid has room, as tables.

`connect()` is the notebook's door: a read-only DuckDB connection to the published warehouse.
"""

__version__ = "0.1.0"


def connect(root: str | None = None, *, fresh: bool = False):  # type: ignore[no-untyped-def]
    """Open the warehouse read-only; see `hc_platform.lake.warehouse.connect` for the details."""
    from hc_platform.lake.warehouse import connect as open_warehouse

    return open_warehouse(root, fresh=fresh)
