"""Tables as spreadsheets and our own readers see them."""

import csv

import pytest
from GBMResponseCore.files import plain_cell, write_csv


def cells(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-lab 3", "@SUM(A1)", "\tx", "\rx", "'=1+1", "-5 ml", "+"])
def test_a_cell_that_a_spreadsheet_would_run_is_written_as_text_and_read_back(text, tmp_path):
    (_, (cell,)) = cells(write_csv(["patient"], [[text]], tmp_path / "table.csv"))
    assert cell == f"'{text}"
    assert plain_cell(cell) == text


@pytest.mark.parametrize("text", ["P-007", "O'Neil", "'quoted'", "-3.5", "+1e-05", "-12", "x=1", ""])
def test_other_text_and_numbers_written_as_text_stay_as_they_are(text, tmp_path):
    (_, (cell,)) = cells(write_csv(["patient"], [[text]], tmp_path / "table.csv"))
    assert cell == text == plain_cell(cell)


def test_numbers_keep_their_sign_and_nothing_is_an_empty_cell(tmp_path):
    path = write_csv(["a", "b", "c"], [[-1.5, None, True]], tmp_path / "table.csv")
    assert path.read_bytes() == b"a,b,c\n-1.5,,True\n"
