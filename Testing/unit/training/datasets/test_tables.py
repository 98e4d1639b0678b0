import datetime
import sys

import pytest
from fake_cohorts import write_csv, write_workbook
from GBMResponseCore.errors import MissingPackageError

from GBMResponseTraining.datasets.errors import DatasetError, TableValueError
from GBMResponseTraining.datasets.tables import column_with, find_one, normalized_header, read_csv, read_sheet


def test_headers_are_compared_without_case_and_blanks():
    assert normalized_header("  Number of \n Days  from  Diagnosis ") == "number of days from diagnosis"


def test_cells_with_separators_and_line_ends(tmp_path):
    path = write_csv(tmp_path / "a.csv", ["Patient", "Notes, all"], [["1", "x; y\nz"], ["2", ""]])
    assert read_csv(path, ("patient",)) == [
        (3, {"patient": "1", "notes, all": "x; y\nz"}),
        (4, {"patient": "2", "notes, all": ""}),
    ]


def test_cells_of_a_sheet_become_text(tmp_path):
    rows = [["ID", "Days ", "Born"], [7, 3.0, datetime.datetime(2020, 1, 31)], [None, None, None], ["b", 2.5, None]]
    path = write_workbook(tmp_path / "a.xlsx", {"Clinical Info": rows})
    assert read_sheet(path, "clinical info", ("id", "days")) == [
        (2, {"id": "7", "days": "3", "born": "2020-01-31"}),
        (4, {"id": "b", "days": "2.5", "born": ""}),
    ]


def test_a_sheet_lacks_a_column(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"S": [["ID"], [1]]})
    with pytest.raises(TableValueError, match="sheet S has no column days"):
        read_sheet(path, "S", ("id", "days"))


def test_an_empty_sheet(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"S": [["ID"]]})
    with pytest.raises(DatasetError, match="no rows"):
        read_sheet(path, "S", ("id",))


def test_without_openpyxl(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingPackageError, match="pip install openpyxl"):
        read_sheet(tmp_path / "a.xlsx", "S", ())


def test_lock_files_of_spreadsheets_are_no_tables(tmp_path):
    for name in ("~$table.xlsx", ".table.xlsx", "table.xlsx"):
        (tmp_path / name).touch()
    assert find_one(tmp_path, "*.xlsx").name == "table.xlsx"


def test_patterns_are_tried_in_order(tmp_path):
    for name in ("b1.csv", "a.csv"):
        (tmp_path / name).touch()
    assert find_one(tmp_path, "c*.csv", "b*.csv", "*.csv").name == "b1.csv"


def test_column_with_words():
    assert column_with(["id", "days from diagnosis to death (days)"], "diagnosis to death") is not None
    assert column_with(["id"], "death") is None
