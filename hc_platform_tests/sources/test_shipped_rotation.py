"""The shipped configs of rotating services, held against the names that their services have had."""

import re

import pytest

from hc_platform.catalog import Catalog, load_catalog
from hc_platform.settings import PROJECT_DIR
from hc_platform.sources.discovery import Candidate, newest_first
from hc_platform.sources.vintage import vintage_of

# code, its names from the newest on, names beside them that are something else
SEEN = [
    (
        "xcel_mn",
        ["NSP_HCA_Blurred_GEN_Popup_July_2026", "NSP_HCA_Popup_June_2026", "NSP_HCA_Popup_Layer_March_2026",
         "HCA_NSP_Popup_Layer_February_2026", "NSP_HCA_Popup_Nov2025", "HCA_NSP_Popup_202509", "NSPM_may2025_popUps"],
        ["PSCO_Blurred_Popup_GEN_June_2026", "PSCO22Final"],
    ),
    (
        "xcel_co",
        ["PSCO_Blurred_Popup_GEN_June_2026", "PSCO_GEN_Popup_Layer_Feb_2026"],
        ["PSCO22Final", "NSP_HCA_Popup_June_2026"],
    ),
    (
        "comed",
        ["ComEd_PV_Hosting_Capacity_MAR2026", "ComEd_PV_Hosting_Capacity_JUN2024"],
        ["ComEd_EV_Load_Capacity_JUN2026", "ComEd_EV_Hosting_Capacity_032026"],
    ),
    ("comed", ["ComEd_BESS_Hosting_Capacity_032026", "ComEd_PV_Hosting_Capacity_JUN2024"], []),
    (
        "comed",
        ["ComEd_EV_Load_Capacity_JUN2026", "ComEd_EV_Hosting_Capacity_032026"],
        ["ComEd_PV_Hosting_Capacity_MAR2026", "ComEd_BESS_Hosting_Capacity_032026"],
    ),
    ("rie", ["RI_Hosting_Capacity_2026", "RI_Hosting_Capacity_2025"], ["Distribution_Assets_Overview_and_Load_2025"]),
    ("smeco", ["SMECO_2024_CIRCUITS_101024"], []),
]  # fmt: skip
# these are dated by their data, and may bear no date or a wrong one
BY_EDIT = [
    ("dte", "HCA_June_2023"),
    ("duke_carolinas", "Generation_Map_Publishing"),
    ("duke_carolinas", "Generation_Hosting_Capacity_November_2025"),
]


@pytest.fixture(scope="module")
def shipped() -> Catalog:
    return load_catalog(PROJECT_DIR / "utility_configs")


def patterns(shipped: Catalog, code: str, name: str) -> list[tuple[str, str]]:
    """Title and dated_by of the layers whose pattern a name fits."""
    config = shipped[code]
    found = [d for layer in config.layers if (d := config.discovery_of(layer))]
    return [(d.title, d.dated_by) for d in found if re.fullmatch(d.title, name)]


@pytest.mark.parametrize(("code", "names", "others"), SEEN, ids=[f"{s[0]}-{s[1][0]}" for s in SEEN])
def test_names_that_were_seen_are_found_and_dated(
    shipped: Catalog, code: str, names: list[str], others: list[str]
) -> None:
    fitting = patterns(shipped, code, names[0])
    assert fitting, f"no layer of {code} is found by {names[0]}"
    for title, dated_by in fitting:
        assert dated_by == "name"
        assert [n for n in [*names, *others] if re.fullmatch(title, n)] == names
    order = newest_first(Candidate(name, f"http://x/{name}", vintage_of(name)) for name in reversed(names))
    assert [c.title for c in order] == names
    assert all(c.vintage for c in order)


@pytest.mark.parametrize(("code", "name"), BY_EDIT)
def test_names_that_tell_no_date_are_dated_by_their_data(shipped: Catalog, code: str, name: str) -> None:
    assert {dated_by for _, dated_by in patterns(shipped, code, name)} == {"modified"}
