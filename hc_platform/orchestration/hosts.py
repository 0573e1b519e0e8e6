"""Which hosts a utility is fetched from, and how no two runs ask one host at once.

What belongs here: hosts of a config, the Dagster pool, the lock. What does not: the pace of requests (`arcgis.transport`
keeps one timetable per host and process).

An op has one pool, so it is that of the host with most of the utility's layers; it spans all machines, and the UI shows
it. Layers on further hosts are covered by a lock file per host, which holds between the runs of one machine.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig


def hosts_of(utility: UtilityConfig) -> list[str]:
    """Every host its layers are fetched from, that of most layers first; none where all are files of this machine.

    Of a service that rotates: the host where it is looked for, which need not be the one where it is found.
    """
    counted = Counter(host for layer in utility.layers for host in _hosts(utility, layer))
    return [host for host, _ in counted.most_common()]


def _hosts(utility: UtilityConfig, layer: LayerConfig) -> list[str]:
    found = utility.discovery_of(layer)
    urls = [
        layer.path or layer.service_url or utility.service_url,
        found and (found.folder or found.portal),
    ]
    return [host for url in urls if url and (host := urlsplit(url).hostname)]


def host_pool(utility: UtilityConfig) -> str | None:
    """The concurrency pool of the utility's first host; None where it is fetched from none."""
    return next((f"host_{_plain(host)}" for host in hosts_of(utility)), None)


@contextmanager
def alone_at(utility: UtilityConfig, folder: Path) -> Iterator[None]:
    """Nobody else on this machine fetches from the utility's hosts meanwhile; waits for who does."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        for host in sorted(hosts_of(utility)):  # in one order for all, so that no two wait for each other
            held.enter_context(FileLock(folder / f"host-{_plain(host)}.lock"))
        yield


def _plain(host: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in host)
