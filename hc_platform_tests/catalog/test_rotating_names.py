"""The names that rotating services were seen under fit their configs, and no other map's name does."""

import re
from pathlib import Path

import pytest

from hc_platform.catalog.loading import load_config

CONFIGS = Path(__file__).parents[2] / "utility_configs"

COMED_GENERATION = (
    "ComEd_PV_Hosting_Capacity_JUN2024",
    "ComEd_PV_Hosting_Capacity_MAR2026",
    "ComEd_BESS_Hosting_Capacity_032026",
    "ComEd_BESS_Hosting_Capacity_032026_2ndService",
)
COMED_LOAD = (
    "ComEd_EV_Load_Capacity_JUN2026",
    "ComEd_EV_Load_Capacity_JUN2026_2ndService",
    "ComEd_EV_Hosting_Capacity_032026",
    "ComEd_EV_Hosting_Capacity_032026_2ndService",
)

# config, layer, names that are its own, names that are not
NAMES = [
    ("comed", "buffered feeders", COMED_GENERATION, COMED_LOAD),
    ("comed", "EV circuits", COMED_LOAD, COMED_GENERATION),
    (
        "smeco",
        "circuit sections",
        ("SMECO_2024_CIRCUITS_101024",),
        ("SMECO_SUBSTATIONS", "SMECO_2024_CIRCUITS"),
    ),
    # Maryland's map is Potomac Edison's; an EV or load map has the same columns and another meaning
    (
        "jcpl",
        "transformers",
        ("Full_Map_xfmr_NJ", "Full_Map_NJ", "Full_Map_xfmr_JCPL"),
        ("Full_Map_xfmr_MD", "Full_Map_xfmr_EV_NJ", "Full_Map_EV_xfmr_NJ", "Full_Map_Load_NJ"),
    ),
    ("pseg", "solar", ("Solar", "PSEG_Solar", "HostingCapacity"), ("EVCapacity", "EV_Hosting_Capacity")),
]


@pytest.mark.parametrize(("code", "label", "own", "others"), NAMES, ids=[f"{c}-{x}" for c, x, _, _ in NAMES])
def test_a_rotating_service_is_known_by_its_names(
    code: str, label: str, own: tuple[str, ...], others: tuple[str, ...]
) -> None:
    config = load_config(CONFIGS / f"{code}.yaml")
    found = config.discovery_of(config.layer(label))
    assert found is not None
    assert [name for name in (*own, *others) if re.fullmatch(found.title, name)] == list(own)


def test_each_of_comeds_maps_is_asked_for_by_its_own_address() -> None:
    config = load_config(CONFIGS / "comed.yaml")
    referers = [config.headers_of(layer)["Referer"] for layer in config.layers]
    assert len(set(referers)) == len(referers) == 2
    assert all(re.search(r"/webappviewer/index\.html\?id=[0-9a-f]{32}$", r) for r in referers)
