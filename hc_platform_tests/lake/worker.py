"""What the processes of the concurrency tests do: write partitions, publish, or query until told to stop.

Each row of a partition carries the partition's version number in hosting_capacity_mw, so that a reader can tell a
whole partition (all rows, one version) from a torn or mixed one. Prints one JSON line of counts at its end.
"""

import json
import sys
from multiprocessing.synchronize import Event
from pathlib import Path

import polars as pl
import pyarrow.parquet  # noqa: F401 - a write would import it: what is killed is to be the writing

from hc_platform.hosting_capacity.tables import RECORDS, SECTIONS
from hc_platform.lake.store import open_lake
from hc_platform.lake.warehouse import connect, publish

SNAPSHOT = "2026-05"
ROWS = 20_000


def sections(code: str, version: int, rows: int = ROWS) -> pl.DataFrame:
    """One partition of sections, every row of one version, with some weight to it."""
    keys = pl.Series("record_key", range(rows)).cast(pl.String)
    frame = pl.DataFrame({"record_key": keys, "feature_key": keys}).with_columns(
        utility_code=pl.lit(code),
        snapshot=pl.lit(SNAPSHOT),
        resource=pl.lit("generation"),
        hosting_capacity_mw=pl.lit(float(version)),
        geometry=pl.col("record_key").hash(version).cast(pl.String).cast(pl.Binary),
    )
    return SECTIONS.conform(frame)


def records(code: str, version: int, rows: int = 500) -> pl.DataFrame:
    """The same as records."""
    made = sections(code, version, rows).with_columns(feeder_id_external="record_key")
    return RECORDS.conform(made.drop("layer", "feature_key", "record_key"))


def write(data: Path, code: str, versions: range, publish_every: int) -> dict[str, int]:
    """Replace the partition once per version, sections as a stream and records at once."""
    lake = open_lake(str(data / "lake"))
    partition = {"utility_code": code, "snapshot": SNAPSHOT}
    errors: list[str] = []
    for version in versions:
        try:
            whole = sections(code, version)
            lake.replace(SECTIONS, partition, (whole[i : i + 5000] for i in range(0, ROWS, 5000)))
            lake.replace(RECORDS, partition, records(code, version))
            if version % publish_every == 0:
                publish(lake, data / "warehouse.duckdb")
        except Exception as error:  # counted: the test asserts that there is none
            errors.append(repr(error)[:300])
    return {"written": len(versions) - len(errors), "errors": errors}  # type: ignore[dict-item]


def say_and_write(told: Event, data: Path, code: str, versions: range, publish_every: int) -> None:
    """The same, after saying that it begins."""
    told.set()
    write(data, code, versions, publish_every)


_ASK = """SELECT utility_code, count(*), count(DISTINCT hosting_capacity_mw), count(DISTINCT {key})
          FROM {table} GROUP BY 1"""


def read(data: Path, hold: bool, stop: Path) -> dict[str, object]:
    """Query both kinds of tables, published and fresh, until the stop file is there; at least once."""
    held = connect(str(data)) if hold else None
    reads, torn, errors = 0, [], []
    while True:
        last = stop.exists()
        for fresh in (False, True):
            try:
                connection = held if hold and not fresh else connect(str(data), fresh=fresh)
                asked = [
                    ("hosting_capacity_records", "feeder_id_external", 500),
                    ("sections", "record_key", ROWS),
                ]
                for table, key, rows in asked:
                    for code, *found in connection.sql(_ASK.format(table=table, key=key)).fetchall():
                        if found != [rows, 1, rows]:
                            torn.append((table, code, *found))
                reads += 1
                if connection is not held:
                    connection.close()
            except Exception as error:  # counted: the test asserts that there is none
                errors.append(repr(error)[:300])
        if last:
            return {"reads": reads, "torn": torn[:5], "errors": errors}


def main() -> None:
    """worker.py write DATA CODE FIRST LAST PUBLISH_EVERY | read DATA held|anew STOP."""
    what, data, *rest = sys.argv[1:]
    if what == "write":
        code, first, last, every = rest
        answer: object = write(Path(data), code, range(int(first), int(last)), int(every))
    else:
        answer = read(Path(data), rest[0] == "held", Path(rest[1]))
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
