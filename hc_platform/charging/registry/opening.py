"""Open the registry that a setting names.

What belongs here: from one text to a registry. What does not: the registries.
"""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from hc_platform.charging.registry.base import Registry
from hc_platform.charging.registry.sqlite import SqliteRegistry

_FORMS = "give a path (SQLite), or dynamodb://[table prefix][?region=...&endpoint_url=...]"


def open_registry(where: str) -> Registry:
    """A path: SQLite, made where absent. `dynamodb://`: DynamoDB, its tables named evse-... unless a prefix is given.

    Raises ValueError for any other address.
    """
    if "://" not in where:
        if not where.strip():
            raise ValueError(f"the registry has no address: {_FORMS}")
        return SqliteRegistry(Path(where))
    parts = urlsplit(where)
    options = dict(parse_qsl(parts.query))
    prefix = where.removeprefix("dynamodb://").split("?")[0]  # not netloc: that is in lower case
    if parts.scheme != "dynamodb" or options.keys() - {"region", "endpoint_url"} or "/" in prefix:
        raise ValueError(f"the registry {where!r} is not understood: {_FORMS}")
    from hc_platform.charging.registry.dynamo import DynamoRegistry  # boto3 costs 0.2 s to import

    return DynamoRegistry(
        prefix or "evse-", region=options.get("region"), endpoint_url=options.get("endpoint_url")
    )
