"""Rotating services: the newest that has the layer and its fields is taken, and every other is told with its reason."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources import (
    AbsentError,
    ContractError,
    SignInError,
    SourceError,
    SourceOptions,
    candidates,
    source_for,
)
from hc_platform.sources.base import LayerDescription
from hc_platform.sources.rotating_source import RotatingSource
from hc_platform.sources.vintage import Period
from hc_platform_tests.hosting_capacity.making import config
from hc_platform_tests.sources.portal_server import Publication, World, online

FAST = SourceOptions(min_interval_s=0, attempts=1)
REFERER = (
    "https://exelonutilities.maps.arcgis.com/apps/webappviewer/index.html?id=c4068de162b943c9bd81fe4c4fbfe0ea"
)
COMED = r"ComEd_(PV|BESS)_Hosting_Capacity_\w+"
MW = {"FEEDER": "feeder_id_external", "MW": "hosting_capacity_mw"}


@pytest.fixture
def world() -> Iterator[World]:
    with online(World()) as served:
        yield served


def searching(world: World, title: str, layer: dict[str, Any] | None = None, **more: Any) -> UtilityConfig:
    """A config that finds its service among the items of the owner `pub`."""
    keys = {k: more.pop(k) for k in ("owner", "org_id", "dated_by") if k in more}
    place = {"owner": "pub"} if not {"owner", "org_id"} & set(keys) else {}
    return config(
        {"field_map": MW, "capacity_unit": "mw", **(layer or {})},
        service_url=None,
        url_discovery_method="agol_search",
        discovery={"portal": world.root, "title": title, **place, **keys},
        **more,
    )


def listing(world: World, folder: str, title: str, **more: Any) -> UtilityConfig:
    return config(
        {"field_map": MW, "capacity_unit": "mw"},
        service_url=None,
        url_discovery_method="folder_listing",
        discovery={"folder": f"{world.root}{folder}", "title": title, **more},
    )


def titles(made: UtilityConfig) -> list[str]:
    return [c.title for c in candidates(made, made.layers[0], FAST)]


def chosen(made: UtilityConfig, within: Period | None = None) -> LayerDescription:
    return source_for(made, made.layers[0], FAST, within=within).describe(made, made.layers[0])


def verdicts(found: LayerDescription | SourceError) -> dict[str, str]:
    return {x.candidate.title: x.verdict for x in found.looked}


def comed(world: World) -> None:
    world.publish("/usrsvcs/servers/a1/rest/services/ComEd_PV_Hosting_Capacity_JUN2024", Publication(4))
    world.publish("/usrsvcs/servers/b2/rest/services/ComEd_PV_Hosting_Capacity_FEB2026", Publication(5))
    world.publish("/usrsvcs/servers/c3/rest/services/ComEd_BESS_Hosting_Capacity_032026", Publication(6))
    world.publish("/usrsvcs/servers/d4/rest/services/ComEd_EV_Load_Capacity_JUN2026", Publication(9))


def test_a_renamed_service_is_found_behind_its_gate(world: World, tmp_path: Path) -> None:
    comed(world)
    world.referer = REFERER
    made = searching(world, COMED, headers={"Referer": REFERER})
    found = chosen(made)
    assert (
        found.url
        == f"{world.root}/usrsvcs/servers/c3/rest/services/ComEd_BESS_Hosting_Capacity_032026/FeatureServer/0"
    )
    assert verdicts(found) == {
        "ComEd_BESS_Hosting_Capacity_032026": "chosen",
        "ComEd_PV_Hosting_Capacity_FEB2026": "not_newest",
        "ComEd_PV_Hosting_Capacity_JUN2024": "not_newest",
    }
    source = source_for(made, made.layers[0], FAST)
    pull = source.pull(made, made.layers[0], found, tmp_path, lambda *_: None)
    assert (pull.rows, pull.notes) == (6, [])
    assert world.queries("JUN2024") == 0  # older ones are not even asked


@pytest.mark.parametrize("headers", [{}, {"Referer": "https://www.comed.com/"}])
def test_a_gate_is_no_reason_to_take_an_older_one_and_the_mend_is_told(
    world: World, headers: dict[str, str]
) -> None:
    comed(world)
    world.referer = REFERER
    with pytest.raises(SourceError, match="GWM_0003") as error:
        chosen(searching(world, COMED, headers=headers))
    said = str(error.value)
    assert "Referer" in said
    assert "mend headers in utility_configs/test.yaml" in said
    assert (headers.get("Referer") or "no Referer") in said
    assert not error.value.retryable


def test_words_in_any_order_and_case_are_dated(world: World) -> None:
    names = [
        *("NSPM_may2025_popUps", "HCA_NSP_Popup_202509", "NSP_HCA_Popup_Nov2025", "NSP_HCA_Popup_June_2026"),
        *("HCA_NSP_Popup_Layer_February_2026", "NSP_HCA_Popup_Layer_March_2026"),
    ]
    for name in names:
        world.publish(f"/x/arcgis/rest/services/{name}", Publication(3))
    world.publish("/x/arcgis/rest/services/PSCO_Blurred_Popup_GEN_July_2026", Publication(3))
    made = searching(world, r"(?i)(HCA_)?NSPM?_.*popups?.*")
    assert titles(made) == [
        *("NSP_HCA_Popup_June_2026", "NSP_HCA_Popup_Layer_March_2026", "HCA_NSP_Popup_Layer_February_2026"),
        *("NSP_HCA_Popup_Nov2025", "HCA_NSP_Popup_202509", "NSPM_may2025_popUps"),
    ]


def test_one_that_lacks_a_field_gives_way_to_the_next_and_that_is_told(world: World, tmp_path: Path) -> None:
    base = "/x/arcgis/rest/services/HC_"
    world.publish(f"{base}MAR2026", Publication(4))
    world.publish(f"{base}APR2026", Publication(5, name="Substations"))
    world.publish(f"{base}MAY2026", Publication(6, renamed={"MW": "MW1"}))
    world.publish(f"{base}JUL2026", Publication(0))  # made known before it was filled
    world.publish(f"{base}JUN2026", Publication(7))
    del world.services[f"{base}JUN2026/FeatureServer"]
    made = searching(world, r"HC_\w+", {"name": "Sections"})
    found = chosen(made)
    assert verdicts(found) == {
        "HC_JUL2026": "empty",
        "HC_JUN2026": "gone",
        "HC_MAY2026": "lacks_fields",
        "HC_APR2026": "lacks_layer",
        "HC_MAR2026": "chosen",
    }
    pull = source_for(made, made.layers[0], FAST).pull(made, made.layers[0], found, tmp_path, lambda *_: None)
    assert pull.rows == 4
    assert len(pull.notes) == 4
    assert any("HC_MAY2026 was passed over: lacks the field(s) MW (now MW1?)" in n for n in pull.notes)
    assert any("'Substations' (0)" in n for n in pull.notes)


def test_where_none_fits_it_is_told_what_each_lacks(world: World) -> None:
    world.publish("/x/rest/services/HC_MAY2026", Publication(renamed={"MW": "Cap"}))
    world.publish("/x/rest/services/HC_JUN2026", Publication(renamed={"FEEDER": "Circuit"}))
    with pytest.raises(ContractError) as error:
        chosen(searching(world, r"HC_\w+"))
    said = str(error.value)
    assert said.index("HC_JUN2026: lacks the field(s) FEEDER") < said.index(
        "HC_MAY2026: lacks the field(s) MW"
    )
    assert verdicts(error.value) == {"HC_JUN2026": "lacks_fields", "HC_MAY2026": "lacks_fields"}
    assert not error.value.retryable


def test_no_publication_at_all_is_absence_and_the_names_there_are_are_told(world: World) -> None:
    world.publish("/x/rest/services/Load_MAY2026", Publication())
    with pytest.raises(AbsentError, match=r"no service is named like 'HC_.*'; there are: Load_MAY2026"):
        chosen(searching(world, r"HC_\w+"))


def test_one_that_needs_a_sign_in_is_passed_over_unless_we_have_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.publish("/x/rest/services/HC_MAY2026", Publication())
    world.allows = lambda token: 499
    with pytest.raises(SignInError, match=r"HC_MAY2026: .*499.*under auth"):
        chosen(searching(world, r"HC_\w+"))
    monkeypatch.setenv("T_TOKEN", "stale")
    auth = {"secret": "T_TOKEN", "method": "token"}
    with pytest.raises(
        SignInError, match=r"No token was sent to 127\.0\.0\.1"
    ):  # its host is the search's, not ours
        chosen(searching(world, r"HC_\w+", auth=auth))
    assert not any("token" in params for _, params, _ in world.asked)


def test_silence_is_waited_for_and_no_older_one_is_taken(world: World) -> None:
    class Down(Publication):
        def answer(self, path: str, params: dict[str, str]) -> dict[str, Any]:
            return {"error": {"code": 500, "message": "Error performing query operation"}}

    world.publish("/x/rest/services/HC_MAY2026", Publication())
    world.publish("/x/rest/services/HC_JUN2026", Down())
    with pytest.raises(SourceError, match="HC_JUN2026") as error:
        chosen(searching(world, r"HC_\w+"))
    assert error.value.retryable


def test_a_name_that_does_not_tell_the_date_goes_by_the_datas_edit(world: World) -> None:
    """An item whose thumbnail was changed last is not the newest for that."""
    path = "/x/rest/services/HCA_"
    world.publish(f"{path}June_2023", Publication(edited="2026-04-14"), modified="2026-04-15")
    world.publish(f"{path}March_2025", Publication(edited="2025-03-02"), modified="2026-08-01")
    world.publish(f"{path}Final", Publication(edited=None), modified="2024-01-01")
    made = searching(world, r"HCA_\w+", dated_by="modified")
    assert titles(made) == ["HCA_June_2023", "HCA_March_2025", "HCA_Final"]
    found = candidates(made, made.layers[0], FAST)
    assert [str(c.vintage) for c in found] == ["2026-04-14", "2025-03-02", "2024-01-01"]


def test_only_the_owners_own_items_count_over_all_pages(world: World) -> None:
    for number in range(7):
        world.publish(f"/x/rest/services/HC_{number + 1:02d}2026", Publication())
    world.publish("/x/rest/services/HC_122026", Publication(), owner="pub_but_another")
    world.publish("/x/rest/services/Web_112026", Publication(), type="Web Map")
    world.publish("/x/rest/services/Hidden", Publication(), title="HC_082026")
    world.a_page = 3
    assert titles(searching(world, r"HC_\d+"))[:2] == ["Hidden", "HC_072026"]
    assert len(titles(searching(world, r"HC_\d+"))) == 8
    assert len([1 for path, _, _ in world.asked if "/search" in path]) == 8
    assert "HC_122026" in titles(searching(world, r"HC_\d+", org_id="ORG"))


@pytest.mark.parametrize("folder", ["/x/arcgis/rest/services", "/x/arcgis/rest/services/NYSDP"])
def test_a_folders_services_are_found_with_or_without_its_name_in_theirs(world: World, folder: str) -> None:
    for name in ("HC_MAR2026", "HC_JAN2026", "Load_JUN2026"):
        world.services[f"{folder}/{name}/FeatureServer"] = Publication(4)
    world.services[f"{folder}/HC_MAR2026/MapServer"] = Publication(4)
    made = listing(world, folder, r"HC_\w+")
    found = candidates(made, made.layers[0], FAST)
    order = ("HC_MAR2026/FeatureServer", "HC_MAR2026/MapServer", "HC_JAN2026/FeatureServer")
    assert [c.url for c in found] == [f"{world.root}{folder}/{x}" for x in order]
    assert chosen(made).count == 4


def test_a_past_period_takes_only_its_own_publication(world: World) -> None:
    for name in ("JAN2026", "031526", "MAR2026", "2026", "APR2026"):
        world.publish(f"/x/rest/services/HC_{name}", Publication())
    made = searching(world, r"HC_\w+")
    assert isinstance(source_for(made, made.layers[0], FAST), RotatingSource)
    march = verdicts(chosen(made, Period.of(2026, 3)))
    assert march == {
        "HC_2026": "other_period", "HC_APR2026": "other_period", "HC_MAR2026": "chosen", "HC_031526": "not_newest",
        "HC_JAN2026": "other_period",
    }  # fmt: skip
    with pytest.raises(AbsentError) as error:
        chosen(made, Period.of(2026, 2))
    assert set(verdicts(error.value).values()) == {"other_period"}


def test_the_sensors_question_is_of_the_chosen_one(world: World) -> None:
    world.publish("/x/rest/services/HC_MAY2026", Publication(edited="2026-05-03"))
    world.publish("/x/rest/services/HC_JUN2026", Publication(edited="2026-06-04", renamed={"MW": "Cap"}))
    made = searching(world, r"HC_\w+")
    edited = source_for(made, made.layers[0], FAST).edited_at(made, made.layers[0])
    assert f"{edited:%Y-%m-%d}" == "2026-05-03"


def test_of_one_date_the_one_edited_last_is_taken(world: World) -> None:
    folder = "/x/arcgis/rest/services"
    for name, edited in (("HC_A_MAR2026", "2026-03-02"), ("HC_B_MAR2026", "2026-03-09")):
        world.services[f"{folder}/{name}/FeatureServer"] = Publication(4, edited=edited)
    made = listing(world, folder, r"HC_\w+")
    assert verdicts(chosen(made)) == {"HC_B_MAR2026": "chosen", "HC_A_MAR2026": "not_newest"}


@pytest.mark.parametrize("edited", ["2026-03-02", None])
def test_where_nothing_tells_which_is_newer_none_is_guessed(world: World, edited: str | None) -> None:
    folder = "/x/arcgis/rest/services"
    world.services[f"{folder}/HC_NH/FeatureServer"] = Publication(4, edited=edited)
    world.services[f"{folder}/HC_NH_new/FeatureServer"] = Publication(4, edited=edited)
    world.services[f"{folder}/EV_NH/FeatureServer"] = Publication(4, renamed={"MW": "Cap"})
    with pytest.raises(SourceError, match=r"HC_NH, HC_NH_new have the layer .* narrow title") as error:
        chosen(listing(world, folder, r".*NH.*"))
    assert not error.value.retryable
    assert verdicts(error.value) == {"EV_NH": "lacks_fields", "HC_NH": "ambiguous", "HC_NH_new": "ambiguous"}
