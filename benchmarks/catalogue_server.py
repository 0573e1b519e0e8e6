"""Every fetchable utility's layers at any size, for the catalogue's benchmark: rows drawn once, numbered anew.

    python -m benchmarks.catalogue_server [--scale 1.0]

A layer is a block of drawn rows over and over. The block's number stands before its object ids, feeders and keys, so
that no two rows are one; putting it there is one replacement in a page's bytes. Pages are not compressed: that would be
the server's work, and more than all the rest. Prints the port, listens on a loopback address per host of the configs, so
that who is polite to a host finds as many as there are. Answers what the client asks: metadata, counts, least and
greatest ids, windows of ids, offsets, lists of ids.
"""

import argparse
import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl, unquote, urlsplit

import polars as pl

from hc_platform.catalog import Catalog, load_catalog
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.demo.catalogue.layers import DrawnLayer, draw_utility
from hc_platform.demo.catalogue.publishing import publish
from hc_platform.demo.drawn import esri_text
from hc_platform.demo.query import LayerAnswers
from hc_platform.demo.synthetic import SyntheticLayer
from hc_platform.settings import PROJECT_DIR

BLOCK = 1000
FEEDERS = 5  # a block: two hundred sections each
_DRAWN = BLOCK * 5 // 4
UNKNOWN_ROWS = 3000  # of layers whose size nobody has told
_MARK = b"@B@"
_IDS = re.compile(r"(\w+)\s*(>=|<=|>|<)\s*(-?\d+)")


def catalog() -> Catalog:
    shipped = load_catalog(PROJECT_DIR / "utility_configs")
    return Catalog({code: config for code, config in shipped.items() if config.fetchable})


def address(host: str, hosts: list[str]) -> str:
    return f"127.0.1.{hosts.index(host) + 1}"


def drawn_layers(config: UtilityConfig) -> list[DrawnLayer]:
    """The layers as blocks, with rows to spare for filters; a layer of feeders needs a feeder for each of its rows."""
    sections = draw_utility(config, _DRAWN, feeders=FEEDERS)
    feeders = draw_utility(config, _DRAWN, feeders=_DRAWN + 1)
    return [many if one.layer.grain == "feeder" else one for one, many in zip(sections, feeders, strict=True)]


def rows_of(layer: LayerConfig, scale: float) -> int:
    return max(100, round((layer.rows_seen or UNKNOWN_ROWS) * scale))


@dataclass
class Replayed:
    """One layer: so many rows, of which each block repeats the drawn ones."""

    published: SyntheticLayer
    drawn: DrawnLayer
    total: int

    @cached_property
    def rows(self) -> list[bytes]:
        """The block's features, with marks where its number goes."""
        layer, plan = self.published, self.drawn.plan
        named = [n for n, a in plan.asked.items() if a.targets[0].to in ("feeder_id_external", "feeder_name")]
        own = [n for n in (*named, *plan.keys) if n in layer.frame.columns]
        columns = {
            n: pl.lit("@N@" if layer.frame[n].dtype.is_numeric() else "@B@") + layer.frame[n].cast(pl.String)
            for n in own
        }
        lists = plan.layer.explode
        if lists:
            again = rf"{re.escape(lists.separator)}\s*"
            for name in set(own) & set(lists.columns):
                columns[name] = pl.lit("@B@") + layer.frame[name].str.replace_all(
                    again, f"{lists.separator}@B@"
                )
        frame = layer.frame.drop(layer.oid_field).with_columns(**columns)
        shapes = layer.lines.paths().to_frame()
        kind = layer.geometry_type
        texts = frame.select(
            attributes=pl.struct(frame.columns).struct.json_encode(),
            shape=esri_text(shapes, kind) if kind else pl.lit(""),
        ).filter(pl.Series(self.drawn.served))
        made = []
        for number, (attributes, shape) in enumerate(texts.head(BLOCK).iter_rows()):
            plain = re.sub(r'"@N@([^"]*)"', r"@B@\1", attributes)
            made.append(f'{{"attributes":{{"{layer.oid_field}":@B@{number:03d},{plain[1:]}{shape}}}'.encode())
        assert len(made) == BLOCK, f"too few of the drawn rows of {layer.label} pass its filter"
        return made

    @cached_property
    def whole(self) -> bytes:
        return b",".join(self.rows)

    def metadata(self) -> bytes:
        told = LayerAnswers(self.published).metadata()
        return json.dumps(told | {"maxRecordCount": 2 * BLOCK}).encode()

    def features(self, low: int, high: int) -> bytes:
        """Those with positions in [low, high): whole blocks in one piece."""
        parts = []
        while low < high:
            block, first = divmod(low, BLOCK)
            last = min(BLOCK, first + high - low)
            body = self.whole if last - first == BLOCK else b",".join(self.rows[first:last])
            parts.append(body.replace(_MARK, b"%d" % (block + 1)))
            low += last - first
        return b",".join(parts)

    def answer(self, asked: Mapping[str, str]) -> bytes:
        """Object ids begin at BLOCK and have no gaps."""
        low, high = 0, self.total
        for name, operator, number in _IDS.findall(asked.get("where", "")):
            if name == self.published.oid_field:
                bound = int(number) - BLOCK
                if operator[0] == ">":
                    low = max(low, bound + (operator == ">"))
                else:
                    high = min(high, bound + (operator == "<="))
        high = max(low, high)
        if asked.get("returncountonly") == "true":
            return json.dumps({"count": high - low}).encode()
        if asked.get("returnidsonly") == "true":
            ids = list(range(low + BLOCK, high + BLOCK))
            return json.dumps({"objectIdFieldName": self.published.oid_field, "objectIds": ids}).encode()
        if asked.get("outstatistics"):
            numbers = {"min": low + BLOCK, "max": high + BLOCK - 1, "count": high - low}
            wanted = json.loads(asked["outstatistics"])
            told = {w["outStatisticFieldName"]: numbers[w["statisticType"].lower()] for w in wanted}
            return json.dumps({"features": [{"attributes": told}]}).encode()
        head = {
            "objectIdFieldName": self.published.oid_field,
            "geometryType": self.published.geometry_type,
            "spatialReference": {"wkid": 4326, "latestWkid": 4326},
        }
        opening = json.dumps(head)[:-1].encode() + b',"features":['
        if asked.get("objectids"):
            ids = sorted(int(part) - BLOCK for part in asked["objectids"].split(","))
            return opening + b",".join(self.features(i, i + 1) for i in ids) + b"]}"
        start = low + int(asked.get("resultoffset") or 0)
        end = min(start + min(int(asked.get("resultrecordcount") or 2 * BLOCK), 2 * BLOCK), high)
        more = b',"exceededTransferLimit":true}' if end < high else b"}"
        return opening + self.features(start, max(start, end)) + b"]" + more


class Site:
    """All services, by utility and the service's path."""

    def __init__(self, configs: Catalog, scale: float) -> None:
        self.services: dict[str, dict[int, Replayed]] = {}
        self.local: dict[str, dict[str, tuple[str, int]]] = {}
        for code, config in configs.items():
            drawn = {d.layer.label: d for d in drawn_layers(config)}
            for layer in publish(config, list(drawn.values())).layers:
                fitting = layer.label in drawn and layer.frame.height == len(drawn[layer.label].object_ids)
                if not fitting or layer.label in self.local.setdefault(code, {}):
                    continue
                one = drawn[layer.label]
                path = f"/{code}{unquote(urlsplit(layer.service_url).path)}"
                replayed = Replayed(layer, one, rows_of(one.layer, scale))
                replayed.whole  # noqa: B018 - made now, not while somebody waits
                self.services.setdefault(path.lower(), {})[layer.index] = replayed
                self.local[code][layer.label] = layer.service_url, layer.index

    def answer(self, path: str, asked: Mapping[str, str]) -> bytes:
        found = re.fullmatch(r"(.*/(?:feature|map)server)(?:/(\d+))?(/query)?", path.lower())
        service = self.services.get(found[1]) if found else None
        if found is None or service is None:
            return json.dumps({"error": {"code": 404, "message": f"{path} not found"}}).encode()
        if found[2] is None:
            brief = [{"id": i, "name": r.published.name} for i, r in service.items()]
            return json.dumps({"layers": brief, "tables": []}).encode()
        layer = service[int(found[2])]
        return layer.answer(asked) if found[3] else layer.metadata()


async def serve(site: Site, addresses: list[str]) -> None:
    """Serve until killed."""

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                _, target, _ = line.decode().split()
                length = 0
                while (header := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = header.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                body = (await reader.readexactly(length)).decode() if length else ""
                parts = urlsplit(target)
                asked = {k.lower(): v for k, v in parse_qsl(parts.query) + parse_qsl(body)}
                answer = site.answer(unquote(parts.path), asked)
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                writer.write(head % len(answer))
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    first = await asyncio.start_server(client, addresses[0], 0, limit=2**20)
    port = first.sockets[0].getsockname()[1]
    rest = [await asyncio.start_server(client, a, port, limit=2**20) for a in addresses[1:]]
    print(json.dumps({"port": port, "layers": site.local}), flush=True)
    await asyncio.gather(first.serve_forever(), *(s.serve_forever() for s in rest))


def hosts_of(configs: Catalog) -> list[str]:
    """The hosts of all layers, each once."""
    urls = [
        url
        for config in configs.values()
        for layer in config.layers
        for found in [config.discovery_of(layer)]
        if (url := layer.service_url or config.service_url or (found and (found.folder or found.portal)))
    ]
    return sorted({urlsplit(url).hostname or "" for url in urls})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    configs = catalog()
    site = Site(configs, given.scale)
    asyncio.run(serve(site, [address(host, hosts_of(configs)) for host in hosts_of(configs)]))


if __name__ == "__main__":
    main()
