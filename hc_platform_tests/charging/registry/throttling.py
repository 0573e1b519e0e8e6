"""DynamoDB that refuses requests, which DynamoDB Local never does.

Belongs here: refusals put into botocore before a request leaves. Does not belong here: assertions.
"""

import itertools
import json
import random
from typing import Any

from botocore.awsrequest import AWSResponse

from hc_platform.charging.registry.dynamo import DynamoRegistry

_CODE = "ProvisionedThroughputExceededException"


def throttle(registry: DynamoRegistry, *, every: int) -> "itertools.count[int]":
    """Refuse one request of so many, at random from a fixed seed; the count's next value is of those refused."""
    chance, refused = random.Random(7), itertools.count()

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        if chance.random() >= 1 / every:
            return None
        next(refused)
        target = request.headers["X-Amz-Target"].decode()
        if target.endswith("TransactWriteItems"):
            items = json.loads(request.body)["TransactItems"]
            reasons = [{"Code": "ThrottlingError", "Message": "slow down"}] + [{"Code": "None"}] * (
                len(items) - 1
            )
            return _response(request.url, "TransactionCanceledException", CancellationReasons=reasons)
        return _response(request.url, _CODE)

    registry.client.boto.meta.events.register("before-send.dynamodb", answer)
    return refused


def _response(url: str, code: str, **more: Any) -> AWSResponse:
    body = json.dumps(
        {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code, **more}
    ).encode()
    response = AWSResponse(url, 400, {"Content-Type": "application/x-amz-json-1.0"}, None)
    response._content = body
    return response
