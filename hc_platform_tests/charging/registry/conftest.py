"""The registries that the contract holds for."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from hc_platform.charging.registry.base import Registry
from hc_platform.charging.registry.dynamo import DynamoRegistry
from hc_platform.charging.registry.dynamo_tables import table_names
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform_tests.charging.registry.dynamodb_local import serve
from hc_platform_tests.charging.registry.throttling import throttle


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[tuple[str, boto3.Session]]:
    """DynamoDB Local: its URL and a session for it."""
    with serve() as running:
        yield running


@pytest.fixture
def dynamo(dynamodb: tuple[str, boto3.Session]) -> Iterator[Callable[..., DynamoRegistry]]:
    """Opens registries in tables of the test's own."""
    url, session = dynamodb
    prefix = f"t{uuid.uuid4().hex}-"
    opened: list[DynamoRegistry] = []

    def open_one(**options: Any) -> DynamoRegistry:
        registry = DynamoRegistry(prefix, endpoint_url=url, session=session, **options)
        opened.append(registry)
        registry.create_tables()
        return registry

    yield open_one
    admin = session.client("dynamodb", endpoint_url=url)
    for name in table_names(prefix).values() if opened else []:
        admin.delete_table(TableName=name)
    for registry in opened:
        registry.close()


@pytest.fixture(params=["sqlite", "dynamodb", "dynamodb, throttled"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    """An empty registry of each kind; DynamoDB also with every fourth request refused for its rate."""
    if request.param == "sqlite":
        sqlite = SqliteRegistry(tmp_path / "registry.db")
        yield sqlite
        sqlite.close()
        return
    made: DynamoRegistry = request.getfixturevalue("dynamo")()
    if "throttled" in request.param:
        throttle(made, every=4)
    yield made
