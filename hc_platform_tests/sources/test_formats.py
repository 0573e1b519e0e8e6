"""Excel and ZIP: cells as text, the one member that is meant, and files that are not what they say."""

import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest

from hc_platform.catalog.layers import LayerConfig
from hc_platform.hosting_capacity.dates import parse_date
from hc_platform.hosting_capacity.values import parse_column, parse_identifier
from hc_platform.sources import SourceError, formats
from hc_platform.sources.formats import READER_ERRORS, UnreadableError, read_rows
from hc_platform_tests.sources.test_file_source import pulled, told


def layer(**keys: Any) -> LayerConfig:
    return LayerConfig.model_validate({"path": "x", "grain": "tile", "resource": "generation", **keys})


def workbook(path: Path, rows: list[list[Any]], sheet: str = "Feeders") -> Path:
    book = openpyxl.Workbook()
    book.active.title = "Read me"
    book.active.append(["About", "this file"])
    page = book.create_sheet(sheet)
    for row in rows:
        page.append(row)
    book.save(path)
    return path


def test_excel_cells_come_as_text(tmp_path: Path) -> None:
    rows = [
        ["Feeder", "HC kW ", "Seen"],
        ["0022", 1500.5, date(2026, 3, 1)],
        [1011, None, None],
        [None] * 3,
    ]
    workbook(tmp_path / "a.xlsx", rows)
    got, _ = pulled(tmp_path, "a.xlsx", sheet="Feeders")
    assert [row["Feeder"] for row in got] == ["0022", got[1]["Feeder"]]
    assert parse_column(_series([row["Feeder"] for row in got]), parse_identifier).to_list() == [
        "0022",
        "1011",
    ]
    assert [row["HC kW"] for row in got] == ["1500.5", None]
    seen = parse_column(_series([got[0]["Seen"]]), parse_date)
    value = seen.struct.field("value")[0] if seen.dtype.is_nested() else seen[0]
    assert str(value).startswith("2026-03-01")


def test_a_title_above_the_header_is_skipped(tmp_path: Path) -> None:
    workbook(tmp_path / "a.xlsx", [["Hosting capacity 2026"], [], ["Feeder", "kW"], ["0022", 5]])
    got, _ = pulled(tmp_path, "a.xlsx", sheet="Feeders", header_row=3)
    assert got[0]["Feeder"] == "0022"
    (tmp_path / "b.csv").write_text("Hosting capacity 2026\n\nFeeder,kW\n0022,5\n")
    assert pulled(tmp_path, "b.csv", header_row=3)[0] == [{"Feeder": "0022", "kW": "5"}]


def test_a_sheet_that_is_not_there_is_told(tmp_path: Path) -> None:
    workbook(tmp_path / "a.xlsx", [["Feeder"], ["1"]])
    with pytest.raises(SourceError, match="no sheet of the name"):
        told(tmp_path, "a.xlsx", sheet="Circuits")


def test_what_is_no_workbook_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(SourceError, match=r"a\.xlsx is not readable"):
        told(tmp_path, "a.xlsx")


def packed(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_DOT_", "."), content)
    return path


def test_the_only_file_of_a_zip_is_read(tmp_path: Path) -> None:
    packed(tmp_path / "a.zip", data__feeders_DOT_csv=b"Feeder,kW\n0022,5\n", README_DOT_txt=b"hello")
    assert pulled(tmp_path, "a.zip")[0] == [{"Feeder": "0022", "kW": "5"}]


def test_one_of_several_is_chosen_by_its_name(tmp_path: Path) -> None:
    packed(tmp_path / "a.zip", a_DOT_csv=b"Feeder\n1\n", b_2026_DOT_csv=b"Feeder\n0022\n")
    assert pulled(tmp_path, "a.zip", member="b_*.csv")[0] == [{"Feeder": "0022"}]
    with pytest.raises(SourceError, match="2 members can be read, and one must"):
        told(tmp_path, "a.zip")
    with pytest.raises(SourceError, match=r"0 of its members fit c\*"):
        told(tmp_path, "a.zip", member="c*")


def test_a_member_whose_path_leads_outside_is_read_and_written_nowhere(tmp_path: Path) -> None:
    inside = tmp_path / "imports"
    inside.mkdir()
    with zipfile.ZipFile(inside / "a.zip", "w") as archive:
        archive.writestr("../../evil.csv", "Feeder\n0022\n")
    assert pulled(inside, "a.zip")[0] == [{"Feeder": "0022"}]
    assert {p.name for p in tmp_path.rglob("*.csv")} == set()


def test_a_zip_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_MEMBER_BYTES", 1000)
    packed(tmp_path / "a.zip", a_DOT_csv=b"Feeder\n" + b"1\n" * 100_000)
    with pytest.raises(UnreadableError, match="unpacks to more than"):
        read_rows(tmp_path / "a.zip", "a.zip", layer())


def test_an_encrypted_zip_is_told(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.zip", a_DOT_csv=b"Feeder\n1\n")
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the member's own flags, and those in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(READER_ERRORS):
        read_rows(path, "a.zip", layer())
    with pytest.raises(SourceError, match=r"a\.zip is not readable"):
        told(tmp_path, "a.zip")


def _series(values: list[Any]) -> pl.Series:
    return pl.Series("text", values, dtype=pl.String)
