"""Lists of services: what a portal or folder sends is checked before it is believed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from hc_platform.arcgis import ArcGISError, HttpOptions, list_folder, search_items
from hc_platform_tests.integration.fake_arcgis import Handler, serve

FAST = HttpOptions(min_interval_s=0, attempts=1)


@contextmanager
def answering(*answers: Any) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that gives these answers in turn, and what it was asked."""
    asked: list[dict[str, str]] = []

    class Scripted(Handler):
        def respond(self, path: str, params: dict[str, str]) -> None:
            asked.append({"path": path, **params})
            self.send(200, msgspec.json.encode(answers[min(len(asked), len(answers)) - 1]))

    with serve(Scripted) as root:
        yield root, asked


def item(name: str, **more: Any) -> dict[str, Any]:
    url = f"https://services1.arcgis.com/x/arcgis/rest/services/{name}/FeatureServer"
    return {"id": name, "owner": "pub", "type": "Feature Service", "title": "A map", "url": url, **more}


def page(*items: dict[str, Any], then: int = -1, total: int | None = None) -> dict[str, Any]:
    return {"total": len(items) if total is None else total, "nextStart": then, "results": list(items)}


def names(*answers: Any, **more: Any) -> list[str]:
    with answering(*answers) as (root, _):
        return [s.name for s in search_items(root, **{"owner": "pub", **more}, http=FAST)]


def test_the_question_names_the_owner_the_organisation_and_services_only() -> None:
    with answering(page()) as (root, [*_]), answering(page()) as (other, asked):
        assert search_items(root, owner="pub", http=FAST) == []
        search_items(f"{other}/portal/", owner='p"b', org_id="ORG", http=FAST)
    assert asked[0]["path"].startswith("/portal/sharing/rest/search")
    question = 'owner:"p\\"b" AND orgid:"ORG" AND (type:"Feature Service" OR type:"Map Service")'
    assert asked[0]["q"] == question
    assert (asked[0]["start"], asked[0]["num"], asked[0]["f"]) == ("1", "100", "json")


def test_all_pages_come_and_an_item_that_slid_over_the_edge_counts_once() -> None:
    assert names(page(item("A"), item("B"), then=3, total=3), page(item("B"), item("C"), total=3)) == list(
        "ABC"
    )


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([page(item("A"), total=250)], "1 items came, it counts 250"),
        ([page(item("A"), then=1, total=2)], "after item 1 it would go on with item 1"),
        ([{"services": []}], "no list of items"),
        ([{"error": {"code": 400, "message": "Unable to parse query"}}], "Unable to parse query"),
    ],
)
def test_pages_that_cannot_be_right_are_refused(answers: list[Any], words: str) -> None:
    with pytest.raises(ArcGISError, match=words):
        names(*answers)


def test_what_is_no_service_of_the_owner_is_left_out() -> None:
    odd = [
        item("A"),
        item("B", owner="publisher2"),
        item("C", type="Web Map"),
        item("D", url=None),
        item("E", url="https://example.org/map.html"),
        item("F", owner="PUB"),
    ]
    assert names(page(*odd)) == ["A", "F"]


def test_an_items_address_is_the_services_own() -> None:
    base = "https://h.example/rest/services"
    odd = item("x", url=f"{base}/DG%20Readiness/FeatureServer/3/", modified=1_700_000_000_000)
    plain = item("y", url="http://h.example/rest/services/Old/MapServer?x=1", type="Map Service")
    with answering(page(odd, plain)) as (root, _):
        first, second = search_items(root, owner="pub", http=FAST)
    assert (first.name, first.url) == ("DG Readiness", f"{base}/DG%20Readiness/FeatureServer")
    assert f"{first.modified_at:%Y-%m-%d}" == "2023-11-14"
    assert (second.name, second.modified_at) == ("Old", None)
    assert second.url.endswith("/Old/MapServer")


def test_a_folders_entries_keep_their_addresses_or_get_one() -> None:
    entries = [
        {"name": "NYSDP/HC 2026", "type": "MapServer"},
        {"name": "HC_2025", "type": "FeatureServer", "url": "https://h.example/s/HC_2025/FeatureServer"},
        {"name": "Locator", "type": "GeocodeServer"},
    ]
    with answering({"folders": [], "services": entries}) as (root, _):
        found = list_folder(f"{root}/rest/services/NYSDP/", http=FAST)
    assert [(s.name, s.url) for s in found] == [
        ("HC 2026", f"{root}/rest/services/NYSDP/HC%202026/MapServer"),
        ("HC_2025", "https://h.example/s/HC_2025/FeatureServer"),
    ]


def test_what_is_no_folder_is_refused() -> None:
    with answering({"layers": []}) as (root, _), pytest.raises(ArcGISError, match="no services directory"):
        list_folder(root, http=FAST)
