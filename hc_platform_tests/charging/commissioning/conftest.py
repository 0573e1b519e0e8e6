"""Small files in the true shape of NREL's, EIA-861's and a GeoParquet of territories, all made up."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from hc_platform.charging.commissioning.candidates import Sources

ZIP_HEADER = "zip,eiaid,utility_name,state,service_type,ownership,comm_rate,ind_rate,res_rate\n"
WGS84 = {"type": "GeographicCRS", "id": {"authority": "EPSG", "code": 4326}}

# A city (1) inside the land of a cooperative (2) that leaves it out, and an investor-owned neighbour (3) to the east.
CITY = shapely.box(-105.1, 39.9, -104.9, 40.1)
SHAPES = {
    1: ("City of Exampleton", "MUNICIPAL_UTILITY", CITY),
    2: ("Example Electric Coop", "DISTRIBUTION_COOPERATIVE", shapely.box(-106, 39, -104, 41) - CITY),
    3: ("Example Power Co", "INVESTOR_OWNED_UTILITY", shapely.box(-104, 39, -102, 41)),
    4: ("Example Choice", "COMMUNITY_CHOICE_AGGREGATOR", shapely.box(-104, 39, -103, 41)),
}


def write_shapes(
    path: Path, columns: dict[str, list[str]], shapes: list[shapely.Geometry], **about: object
) -> Path:
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {}}
    geo["columns"] = {"geometry": {"encoding": "WKB", "crs": WGS84} | about}
    table = pa.table({**columns, "geometry": [shapely.to_wkb(shape) for shape in shapes]})
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)
    return path


@pytest.fixture
def territories(tmp_path: Path) -> Path:
    columns = {
        "eia_id": [str(eia_id) for eia_id in SHAPES],
        "name": [name for name, _, _ in SHAPES.values()],
        "segment": [segment for _, segment, _ in SHAPES.values()],
    }
    return write_shapes(tmp_path / "territories.parquet", columns, [shape for *_, shape in SHAPES.values()])


@pytest.fixture
def public_power(tmp_path: Path) -> Path:
    path = tmp_path / "non_iou.csv"
    path.write_text(
        ZIP_HEADER + "80001,1,City of Exampleton,CO,Bundled,Municipal,0.1,0.1,0.1\n"
        "80002,1,City of Exampleton,CO,Bundled,Municipal,0.1,0.1,0.1\n"
        "80002,2,Example Electric Coop,CO,Bundled,Cooperative,0.1,0.1,0.1\n"
        "80002,2,Example Electric Coop,CO,Delivery,Cooperative,0.1,0.1,0.1\n"
        "80001,9,Example Energy Sales,CO,Energy,Retail Power Marketer,0.1,0.1,0.1\n"
        "1001,5,Town of Leading Zero,MA,Bundled,Municipal,0.1,0.1,0.1\n"
    )
    return path


@pytest.fixture
def cut_iou(tmp_path: Path) -> Path:
    """The investor-owned half without its names."""
    path = tmp_path / "iou_cut.csv"
    path.write_text("zip,rate\n80003,0.1\n80003,0.2\n80002,0.1\n")
    return path


@pytest.fixture
def named_iou(tmp_path: Path) -> Path:
    path = tmp_path / "iou.csv"
    path.write_text(ZIP_HEADER + "80003,3,Example Power Co,CO,Bundled,Investor Owned,0.1,0.1,0.1\n")
    return path


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    path = tmp_path / "sales.csv"
    path.write_text(
        "Utility_Number,Utility_Name,State_FIPS,State_Name,Total_Sales_MWh,BA_Code,BA_Number,BA_Long_Name,BA_Short_Name\n"
        '1,"City of Exampleton",8000,Colorado,5,58,28503,"Western Area Power Administration",WACM\n'
        "3,Example Power Co,8000,Colorado,5,37,14378,PacifiCorp - West,PACW\n"
        "3,Example Power Co,6000,California,5,37,14378,PacifiCorp - West,PACW\n"
        "3,Example Power Co,49000,Utah,5,36,14379,PacifiCorp - East,PACE\n"
    )
    return path


@pytest.fixture
def sources(public_power: Path, cut_iou: Path, territories: Path, sales: Path) -> Callable[..., Sources]:
    def made(**changed: object) -> Sources:
        every = {"zip_tables": (public_power, cut_iou), "territories": territories, "sales": sales}
        return Sources(**(every | changed))  # type: ignore[arg-type]

    return made
