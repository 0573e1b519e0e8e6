"""DynamoDB's requests, made patiently: values, expressions, pages, batches, transactions.

What belongs here: how a request is written and repeated. What does not: what is kept, and under which keys (`dynamo`).

A refused request is repeated here, not by botocore, which would give each repetition of a transaction a new token: a
transaction whose answer was lost must be known again by its own.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

Row = dict[str, Any]
Answer = TypeVar("Answer")

PATIENCE_S: Final = 60.0
FAILED: Final = "ConditionalCheckFailed"
_GET_BATCH = 100
_AGAIN: Final = {
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
    "TransactionInProgressException",
    "TransactionConflictException",
}
_CANCELLED_AGAIN: Final = {"TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"}


class TryAgainError(Exception):
    """Another was at the same item just now: read again, and try again."""


def patiently(request: Callable[..., Answer], /, *args: Any, **parameters: Any) -> Answer:
    """Its answer; throttled, conflicting and lost requests are repeated, at growing random intervals, for a minute."""
    for attempt in Retrying(
        retry=retry_if_exception(_worth_another),
        wait=wait_random_exponential(multiplier=0.05, max=5),
        stop=stop_after_delay(PATIENCE_S),
        reraise=True,
    ):
        with attempt:
            return request(*args, **parameters)
    raise AssertionError("unreachable")


def _worth_another(error: BaseException) -> bool:
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"] in _AGAIN
    return isinstance(error, TryAgainError | ConnectionError | HTTPClientError)


def wire(value: Any) -> Row:
    """A plain value as DynamoDB writes it: numbers as text, to the last digit."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, Mapping):
        return {"M": {k: wire(v) for k, v in value.items()}}
    if isinstance(value, Sequence):
        return {"L": [wire(v) for v in value]}
    raise ValueError(f"DynamoDB takes no {type(value).__name__}: {value!r}")


def plain(value: Mapping[str, Any]) -> Any:
    """The way back; what no row of ours holds (sets, binary) stays as it is."""
    ((kind, held),) = value.items()
    if kind == "N":
        return int(held) if held.lstrip("-").isdigit() else float(held)
    if kind == "M":
        return plain_row(held)
    if kind == "L":
        return [plain(v) for v in held]
    return None if kind == "NULL" else held


def plain_row(item: Mapping[str, Any]) -> Row:
    """An item as plain values."""
    return {k: plain(v) for k, v in item.items()}


def wire_row(row: Mapping[str, Any]) -> Row:
    """A row as an item; what is None is left out."""
    return {k: wire(v) for k, v in row.items() if v is not None}


def _path(dotted: str) -> str:
    return ".".join(f"#{part}" for part in dotted.split("."))


def _named(expressions: Row) -> Row:
    names = {m for text in expressions.values() for m in re.findall(r"#(\w+)", text)}
    return {"ExpressionAttributeNames": {f"#{n}": n for n in names}} if names else {}


def condition(table: str, key: Row, text: str, **values: Any) -> Row:
    """A ConditionCheck of a transaction. In the text, `#name` is an attribute and `:name` one of the values."""
    expressions = {"ConditionExpression": text}
    given = {"ExpressionAttributeValues": wire_row({f":{n}": v for n, v in values.items()})} if values else {}
    return {"TableName": table, "Key": wire_row(key)} | expressions | _named(expressions) | given


def put(table: str, row: Row, text: str | None = None, **values: Any) -> Row:
    """A Put of a transaction, or PutItem's parameters."""
    made = condition(table, {}, text or "", **values)
    if text is None:
        del made["ConditionExpression"]
    del made["Key"]
    return made | {"Item": wire_row(row)}


def update(
    table: str, key: Row, sets: Row, text: str | None = None, *, plus: Row | None = None, **values: Any
) -> Row:
    """An Update of a transaction, or UpdateItem's parameters: None removes, a dotted name is a path into a map."""
    held = {f":s{n}": (path, v) for n, (path, v) in enumerate(sets.items()) if v is not None}
    counts = {f":p{n}": (path, v) for n, (path, v) in enumerate((plus or {}).items())}
    assigned = [f"{_path(p)} = {n}" for n, (p, _) in held.items()]
    assigned += [f"{_path(p)} = if_not_exists({_path(p)}, :zero) + {n}" for n, (p, _) in counts.items()]
    removed = [_path(p) for p, v in sets.items() if v is None]
    expressions = {
        "UpdateExpression": " ".join(
            f"{verb} {', '.join(parts)}" for verb, parts in (("SET", assigned), ("REMOVE", removed)) if parts
        )
    }
    if text:
        expressions["ConditionExpression"] = text
    given = {n: v for n, (_, v) in (held | counts).items()} | {f":{n}": v for n, v in values.items()}
    if counts:
        given[":zero"] = 0
    made = {"TableName": table, "Key": wire_row(key)} | expressions | _named(expressions)
    return made | ({"ExpressionAttributeValues": wire_row(given)} if given else {})


class Client:
    """A DynamoDB client that waits out refusals. Safe for threads, as boto3's clients are."""

    def __init__(
        self, *, region: str | None, endpoint_url: str | None, session: boto3.Session | None
    ) -> None:
        config = Config(
            retries={"total_max_attempts": 1},
            max_pool_connections=32,
            connect_timeout=5,
            read_timeout=20,
        )
        made = session or boto3.Session()
        self.boto: Any = made.client("dynamodb", region_name=region, endpoint_url=endpoint_url, config=config)

    def close(self) -> None:
        """Let go of the connections."""
        self.boto.close()

    def get(self, table: str, key: Row) -> Row | None:
        """One item as it is now."""
        answer = patiently(self.boto.get_item, TableName=table, Key=wire_row(key), ConsistentRead=True)
        return plain_row(answer["Item"]) if "Item" in answer else None

    def get_many(self, table: str, keys: Sequence[Row]) -> list[Row]:
        """Those of the items that exist, as they are now, in any order; what a batch left over is asked for again."""
        found: list[Row] = []
        for start in range(0, len(keys), _GET_BATCH):
            left = [wire_row(k) for k in keys[start : start + _GET_BATCH]]

            def rest(asked: list[Row]) -> None:
                request = {table: {"Keys": asked, "ConsistentRead": True}}
                answer = self.boto.batch_get_item(RequestItems=request)
                found.extend(map(plain_row, answer["Responses"].get(table, [])))
                asked[:] = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
                if asked:
                    raise TryAgainError

            patiently(rest, left)
        return found

    def pages(self, operation: str, **request: Any) -> Iterator[list[Row]]:
        """All pages of a query or scan, also after an empty one, which a filter makes."""
        more: Row = {}
        while True:
            answer = patiently(getattr(self.boto, operation), **request, **more)
            if answer["Items"]:
                yield [plain_row(item) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def query(self, table: str, text: str, *, index: str | None = None, **more: Any) -> Iterator[list[Row]]:
        """Query's pages, consistent where no index is asked. `more`: the values of the text; `limit`: a page's size;
        `only`: a filter.
        """
        request: Row = {"TableName": table, "KeyConditionExpression": text}
        request |= {"IndexName": index} if index else {"ConsistentRead": True}
        limit, only = more.pop("limit", None), more.pop("only", None)
        expressions = {"KeyConditionExpression": text} | ({"FilterExpression": only} if only else {})
        values = wire_row({f":{n}": v for n, v in more.items()})
        request |= expressions | _named(expressions) | {"ExpressionAttributeValues": values}
        return self.pages("query", **request, **({"Limit": limit} if limit else {}))

    def scan(
        self, table: str, only: str | None, *, index: str | None = None, **values: Any
    ) -> Iterator[list[Row]]:
        """Scan's pages, consistent where no index is asked; `only`: a filter, with its values."""
        request: Row = {"TableName": table} | ({"IndexName": index} if index else {"ConsistentRead": True})
        if only:
            expressions = {"FilterExpression": only}
            given = wire_row({f":{n}": v for n, v in values.items()})
            request |= expressions | _named(expressions) | {"ExpressionAttributeValues": given}
        return self.pages("scan", **request)

    def write(self, operation: str, request: Row) -> bool:
        """PutItem or UpdateItem; False where its condition does not hold."""
        try:
            patiently(getattr(self.boto, operation), **request)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def transact(self, items: Sequence[tuple[str, Row]]) -> list[bool]:
        """All or nothing; which conditions failed, none if it is done. Items are (Put, Update or ConditionCheck, ...)."""
        token = uuid.uuid4().hex
        request = [{kind: dict(item)} for kind, item in items]

        def once() -> list[bool]:
            try:
                self.boto.transact_write_items(TransactItems=request, ClientRequestToken=token)
            except self.boto.exceptions.TransactionCanceledException as error:
                codes = [reason.get("Code") for reason in error.response["CancellationReasons"]]
                if FAILED in codes:
                    return [code == FAILED for code in codes]
                if _CANCELLED_AGAIN & set(codes):
                    raise TryAgainError from error
                raise
            return []

        return patiently(once)
