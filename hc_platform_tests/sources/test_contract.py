"""The contract between a config's fields and the published ones."""

import pytest

from hc_platform.sources import ContractError
from hc_platform.sources.base import LayerDescription, match_fields
from hc_platform_tests.hosting_capacity.making import config

MADE = config({"name": "lines", "record_key": ["Seg"], "field_map": {"FeederId": "feeder_id_external"}})


def published(*names: str) -> LayerDescription:
    return LayerDescription("http://127.0.0.1:9", "lines", 0, dict.fromkeys(names, "text"), None, 0, None)


def matched(*names: str) -> dict[str, str]:
    return match_fields(MADE, MADE.layers[0], published(*names))


def test_the_exact_name_goes_before_one_in_another_case() -> None:
    assert matched("seg", "Seg", "FEEDERID") == {"Seg": "Seg", "FeederId": "FEEDERID"}


def test_two_names_that_differ_in_case_only_are_not_guessed_between() -> None:
    with pytest.raises(ContractError, match="FeederId"):
        matched("Seg", "feederid", "FEEDERID")


def test_every_missing_field_is_named_with_its_likeliest_new_name() -> None:
    with pytest.raises(ContractError) as error:
        matched("Feeder_Id", "Other")
    said = str(error.value)
    assert "Seg" in said
    assert "FeederId (now Feeder_Id?)" in said
    assert "test, layer lines" in said
    assert "utility_configs/test.yaml" in said
