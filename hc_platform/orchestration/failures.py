"""How a step of hosting capacity fails: in one plain message, and without publishing.

What belongs here: turning foreseen errors and failed checks into dg.Failure. What does not: the checks.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import dagster as dg

from hc_platform.checking import Check
from hc_platform.pipeline.normalize import NoRawSnapshotError
from hc_platform.sources import SourceError


@contextmanager
def plain_failures() -> Iterator[None]:
    """Turn the errors that a person can act on into dg.Failure: their message in the UI, no stack, no retry."""
    try:
        yield
    except (SourceError, NoRawSnapshotError) as error:
        raise dg.Failure(str(error.args[0]), allow_retries=False) from error


def refuse_if_blocked(checks: Iterable[Check]) -> None:
    """Raise dg.Failure, without retries, if a blocking check failed: nothing is committed then."""
    failed = [c for c in checks if c.blocking and not c.passed]
    if failed:
        told = "; ".join(f"{c.name}: {c.message}" for c in failed)
        raise dg.Failure(f"not published, the old rows stay: {told}", allow_retries=False)
