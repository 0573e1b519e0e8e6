"""What every asset needs to reach: settings, lake, catalog, clock.

What belongs here: the one object handed to the factories. What does not: anything it is used for.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from hc_platform.catalog import Catalog
from hc_platform.lake.store import Lake, open_lake
from hc_platform.settings import Settings
from hc_platform.sources import SourceOptions
from hc_platform.sources.base import Progress


@dataclass(frozen=True)
class Platform:
    """Settings, the catalog and the lake they lead to.

    `watch` is told of every window that comes in; `turn` is entered around a step that takes much memory. Either may
    raise a SourceError, which ends the run.
    """

    settings: Settings
    catalog: Catalog
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    watch: Progress = lambda layer, done, total: None
    turn: Callable[[], AbstractContextManager[object]] = nullcontext

    @cached_property
    def lake(self) -> Lake:
        """The lake at the settings' root."""
        return open_lake(self.settings.root)

    @property
    def source_options(self) -> SourceOptions:
        """How politely and patiently sources are asked."""
        s = self.settings
        return SourceOptions(s.min_interval_s, s.in_flight, s.timeout_s, s.attempts, s.user_agent, s.imports)
