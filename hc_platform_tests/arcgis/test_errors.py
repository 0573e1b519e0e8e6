"""Classes of error, their words, and what they must not say."""

from __future__ import annotations

import pytest

from hc_platform.arcgis.errors import ArcGISError, classify, mask


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (400, "Invalid URL", "moved"),
        (404, "", "moved"),
        (500, "Service Energy/HostingCapacity/MapServer not started", "down"),
        (500, "Could not access any server machines. Please contact your system administrator.", "down"),
        (498, "Invalid token.", "auth"),
        (499, "Token Required", "auth"),
        (403, "You do not have permissions to access this resource", "auth"),
        (403, "", "blocked"),
        (429, "Too many requests", "retry"),
        (503, "", "retry"),
        (504, "", "shrink"),
        (500, "Error performing query operation", "shrink"),
        (400, "Unable to complete operation. Unable to perform query operation.", "shrink"),
        (400, "Cannot perform query. Invalid query parameters.", "bad_request"),
        (400, "'Invalid field: CAPACITY' parameter is invalid", "bad_request"),
        (500, "Unable to execute. Please try again in 60 sec.", "retry"),
        (None, "something", "retry"),
    ],
)
def test_classes(code: int | None, message: str, kind: str) -> None:
    assert classify(code, message) == kind


@pytest.mark.parametrize(
    "text",
    [
        "https://x/query?where=1&token=s3cr3t&f=json",
        'body {"access_token": "s3cr3t"}',
        "api_key=s3cr3t",
        "https://user:s3cr3t@host/path",
        "Token: s3cr3t",
    ],
)
def test_credentials_are_masked(text: str) -> None:
    assert "s3cr3t" not in mask(text)
    assert "s3cr3t" not in str(ArcGISError("down", text, text))


def test_message_is_one_sentence_with_url_event_and_advice() -> None:
    error = ArcGISError("moved", "the server answered\nerror 400", "https://host/Layer")
    assert str(error) == (
        "https://host/Layer: the server answered error 400. "
        "The address is gone: look the service up again and correct service_url or the layer name."
    )
