# ruff: noqa: E501 - one broken config a row
"""Reading the YAMLs: each mistake is told with its file, line, key and mend."""

from pathlib import Path

import pytest

from hc_platform.catalog.loading import load_catalog, load_config
from hc_platform.documents import ConfigError, Problem

GOOD = """\
utility_code: demo
utility_name: Demo Electric
states: [NY]
data_source_type: arcgis_feature
service_url: https://maps.example.com/rest/services/HC/FeatureServer
capacity_unit: mw
capacity_basis: gross
layers:
  - name: Feeders
    layer_index: 0
    grain: feeder
    where: Publish = 1
    field_map:
      FeederId: feeder_id_external
      Capacity: hosting_capacity_mw
verification:
  status: documented
  on: 2026-08-15
  sources: [a program that reads it]
"""


def problems(tmp_path: Path, text: str, name: str = "demo.yaml") -> list[Problem]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert all(problem.file == str(path) for problem in caught.value.problems)
    assert str(caught.value).startswith(f"{path}:")
    return caught.value.problems


def test_the_good_config_loads(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert load_config(path).layers[0].named_fields == ["FeederId", "Capacity"]


BROKEN = [
    # id, (old, new), line, key, words of the message, words of the mend
    ("unknown_key", ("    where:", "    whre:"), 12, "layers.0.whre", "not permitted", "did you mean where?"),
    ("unknown_top", ("capacity_unit:", "capacity_units:"), 6, "capacity_units", "not permitted", "capacity_unit?"),
    ("duplicate_key", ("    grain: feeder", "    grain: feeder\n    grain: section"), 12, "-", "twice", "this line"),
    ("list_as_key", ("states: [NY]", "[NY]: states"), 3, "-", "as a key", "this line"),
    ("control_character", ("Demo Electric", "Demo\0Electric"), 1, "-", "no UTF-8 text", "save the file"),
    ("missing_unit", ("capacity_unit: mw\n", ""), 1, "-", "field Capacity has no unit", ""),
    ("missing_key", ("utility_name: Demo Electric\n", ""), 1, "utility_name", "required", "add utility_name:"),
    ("bad_enum", ("grain: feeder", "grain: feder"), 11, "layers.0.grain", "input should be", "did you mean feeder?"),
    ("bad_type", ("arcgis_feature", "arcgis_features"), 4, "data_source_type", "", "did you mean arcgis_feature?"),
    ("bad_target", ("feeder_id_external", "feeder_id_extern"), 14, "FeederId", "", "did you mean feeder_id_external?"),
    ("wrong_unit", ("Capacity: hosting_capacity_mw", "Capacity: {to: hosting_capacity_mw, unit: kv}"), 15, "Capacity", "no unit of capacity", ""),
    ("secret_header", ("capacity_unit: mw", "headers: {Authorization: Bearer x}\ncapacity_unit: mw"), 6, "headers", "credential", ""),
    ("secret_of_a_layer", ("    where:", "    headers: {Cookie: a}\n    where:"), 12, "layers.0.headers", "credential", ""),
    ("secret_in_url", ("HC/FeatureServer", "HC/FeatureServer?token=abc"), 5, "service_url", "credential (token)", ""),
    ("password_in_url", ("https://maps", "https://me:pw@maps"), 5, "service_url", "password", ""),
    ("file_url", ("https://maps.example.com", "file:///etc"), 5, "service_url", "http://", ""),
    ("no_feeder_id", ("      FeederId: feeder_id_external\n", ""), 9, "layers.0", "feeder_id_external", ""),
    ("no_basis", ("capacity_basis: gross\n", ""), 1, "-", "capacity_basis: gross or net_of_existing", ""),
    ("two_of_one_name", ("verification:", "  - {name: Feeders, grain: section}\nverification:"), 1, "-", "two layers are called Feeders", ""),
    ("bare_zeros", ("layer_index: 0", "record_key: [007]"), 10, "layers.0.record_key.0", "string", "in quotes"),
    ("code_as_number", ("utility_code: demo", "utility_code: 0123"), 1, "utility_code", "string", "in quotes"),
    ("unknown_lookup", ("    where:", "    feeder_id_from: {layer: X, field: a, matches: b}\n    where:"), 1, "-", "feeder_id_from names no layer", ""),
    ("lookup_field", ("    where:", "    feeder_id_from: {layer: Feeders, field: FeederId, matches: b}\n    where:"), 1, "-", "feeder_id_from.matches", ""),
    ("strange_ceiling", ("    field_map:", "    constraint_columns:\n      columns: {a: thermal, b: voltage}\n" "      ceilings: {c: 20}\n    field_map:"), 13, "constraint_columns", "ceilings names c", ""),
    ("broken_yaml", ("states: [NY]", "states: [NY"), 4, "-", "not valid YAML", "this line"),
    ("not_a_mapping", (GOOD, "- a\n- b\n"), 1, "-", "no mapping", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "line", "key", "message", "mend"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_each_mistake_names_line_key_and_mend(
    tmp_path: Path, change: tuple[str, str], line: int, key: str, message: str, mend: str
) -> None:
    assert change[0] in GOOD
    [problem] = problems(tmp_path, GOOD.replace(*change, 1))
    assert (problem.line, key in problem.key) == (line, True), problem
    assert message.lower() in problem.message.lower()
    assert mend in problem.mend
    assert problem.mend


def test_a_file_must_be_called_like_its_utility(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, GOOD, "other.yaml")
    assert (problem.line, problem.key) == (1, "utility_code")
    assert "rename the file to demo.yaml" in problem.mend


def test_on_and_no_are_words_not_booleans(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(
        GOOD.replace(
            "Capacity: hosting_capacity_mw", "NO: {to: hosting_capacity_mw, nulls: {no: not_published}}"
        ),
        encoding="utf-8",
    )
    config = load_config(path)
    assert config.verification.on.isoformat() == "2026-08-15"
    assert config.layers[0].field_map["NO"][0].nulls == {"no": "not_published"}


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(
        GOOD.replace("grain: feeder", "grain: feder").replace("[NY]", "[ny]"), encoding="utf-8"
    )
    (tmp_path / "two.yaml").write_text("- no\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_catalog(tmp_path)
    assert [Path(p.file).name for p in caught.value.problems] == ["demo.yaml", "demo.yaml", "two.yaml"]


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no utility config"):
        load_catalog(tmp_path)


def test_a_misspelt_utility_gets_a_hint(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(KeyError, match="did you mean demo"):
        load_catalog(tmp_path)["dmo"]


def test_the_flat_form_still_loads(tmp_path: Path) -> None:
    path = tmp_path / "flat.yaml"
    path.write_text(
        """\
utility_code: flat
utility_name: Flat Power
parent_company: Flat Holdings
iso_id: pjm
states: [MD, DE]
data_source_type: arcgis_feature
requires_auth: false
service_url: https://maps.example.com/rest/services/HC/FeatureServer/
layer_index: 7
page_size: 2000
out_sr: 4326
url_discovery_method: static
field_map:
  FeederId: feeder_id_external
  ICA_kW: hosting_capacity_mw
capacity_unit: kw
capacity_basis: gross
verification: {status: guessed, on: 2026-08-15, sources: [the first description]}
""",
        encoding="utf-8",
    )
    config = load_config(path)
    [layer] = config.layers
    assert (layer.grain, layer.layer_index, layer.label) == ("feeder", 7, "layer 7")
    assert config.resources == ["generation"]
    assert config.layer_service_url(layer) == "https://maps.example.com/rest/services/HC/FeatureServer"


def test_a_utility_that_cannot_be_fetched_needs_a_reason_and_no_layers(tmp_path: Path) -> None:
    start = GOOD.split("layers:")[0]
    end = "verification:" + GOOD.split("verification:")[1]
    [problem] = problems(tmp_path, start + "access_status: no_machine_readable_source\n" + end)
    assert "access_reason" in problem.message
    path = tmp_path / "demo.yaml"
    path.write_text(
        start + "access_status: no_machine_readable_source\naccess_reason: a PDF\n" + end, encoding="utf-8"
    )
    assert not load_config(path).fetchable


def test_a_layer_is_labelled_by_our_title_then_by_its_published_name(tmp_path: Path) -> None:
    path = tmp_path / "demo.yaml"
    path.write_text(
        GOOD.replace("- name: Feeders", "- name: Feeders_2026\n    title: feeders"), encoding="utf-8"
    )
    [layer] = load_config(path).layers
    assert (layer.label, layer.name) == ("feeders", "Feeders_2026")
    path.write_text(GOOD, encoding="utf-8")
    assert load_config(path).layers[0].label == "Feeders"
