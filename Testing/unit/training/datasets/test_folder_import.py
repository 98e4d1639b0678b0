import pytest
from GBMResponseCore.errors import EmptyFileError, MissingFileError, MissingPackageError, OutputFolderError

from GBMResponseTraining.datasets.errors import DatasetError, TableValueError
from GBMResponseTraining.datasets.hospital import folder
from GBMResponseTraining.datasets.hospital.folder import read_folder
from GBMResponseTraining.datasets.pair import attempt, drop_duplicates, natural_order, normalized_id, parse_number

HEADER = "patient,pre,post,gtv,survival_days"
GOOD = "a/pre.nii.gz,a/post.nii.gz,a/gtv.nii.gz"


@pytest.fixture
def table(tmp_path):
    """Write lines as the CSV of a folder with one set of images; returns its path."""
    for name in ("pre", "post", "gtv"):
        path = tmp_path / "a" / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")

    def write(*lines: str, encoding: str = "utf-8"):
        path = tmp_path / "cohort.csv"
        path.write_text("\n".join(lines) + "\n", encoding=encoding)
        return path

    return write


def only_skipped(path) -> tuple[str, str, str]:
    pairs, (skipped,) = read_folder(path)
    assert pairs == []
    return skipped.patient, skipped.code, skipped.reason


def test_a_row(table, tmp_path):
    (pair,), skipped = read_folder(table(HEADER, f"P1,{GOOD},400"))
    assert skipped == []
    assert pair.patient == "P1"
    assert pair.pre == tmp_path / "a" / "pre.nii.gz"
    assert (pair.survival_days, pair.censored, pair.interval_days, pair.gtv_labels) == (400, False, None, None)
    assert pair.extra == {}


def test_optional_columns_in_any_order_and_case(table):
    header = "Site, Interval_Days ,censored,GTV_LABELS,Patient,pre,post,gtv,survival_days,"
    (pair,), _ = read_folder(table(header, f"Caen,98.5,Yes,1 4,P1,{GOOD},400,"))
    assert (pair.interval_days, pair.censored, pair.gtv_labels) == (98.5, True, (1, 4))
    assert pair.extra == {"site": "Caen"}


def test_spreadsheet_export(table):
    lines = [line.replace(",", ";") for line in (HEADER, f"Müller,{GOOD},400")]
    (pair,), _ = read_folder(table(*[line.replace("400", "400,5") for line in lines], encoding="utf-8-sig"))
    assert (pair.patient, pair.survival_days) == ("Müller", 400.5)


def test_absolute_paths(table, tmp_path):
    absolute = ",".join(str(tmp_path / part) for part in GOOD.split(","))
    assert len(read_folder(table(HEADER, f"P1,{absolute},400"))[0]) == 1


def test_blank_rows_are_ignored(table):
    assert len(read_folder(table(HEADER, "", ",,,,", f"P1,{GOOD},400", ""))[0]) == 1


@pytest.mark.parametrize("cell", ["", "NA", "unknown"])
def test_unknown_survival(table, cell):
    (pair,), _ = read_folder(table(HEADER, f"P1,{GOOD},{cell}"))
    assert pair.survival_days is None


@pytest.mark.parametrize("column", HEADER.split(","))
def test_missing_column(table, column):
    with pytest.raises(TableValueError, match=f"no column {column}"):
        read_folder(table(HEADER.replace(column, "other"), f"P1,{GOOD},400"))


def test_missing_table(tmp_path):
    with pytest.raises(MissingFileError):
        read_folder(tmp_path / "cohort.csv")


def test_empty_table(tmp_path):
    (tmp_path / "cohort.csv").touch()
    with pytest.raises(EmptyFileError):
        read_folder(tmp_path / "cohort.csv")


def test_table_without_rows(table):
    with pytest.raises(DatasetError, match="no rows"):
        read_folder(table(HEADER))


def test_table_in_another_encoding(table):
    with pytest.raises(DatasetError, match="UTF-8"):
        read_folder(table(HEADER, f"Müller,{GOOD},400", encoding="latin-1"))


@pytest.mark.parametrize("column", ["pre", "post", "gtv"])
def test_missing_file(table, column):
    row = f"P1,{GOOD},400".replace(f"a/{column}", f"b/{column}")
    patient, code, reason = only_skipped(table(HEADER, row))
    assert (patient, code) == ("P1", "missing-file")
    assert f"{column}.nii.gz" in reason


def test_empty_cell(table):
    assert only_skipped(table(HEADER, f"P1,{GOOD},400".replace("a/post.nii.gz", "")))[1:] == (
        "table-value",
        "The cell post is empty.",
    )


def test_row_without_id_is_named_by_its_line(table):
    assert only_skipped(table(HEADER, f",{GOOD},400"))[:2] == ("row 2", "table-value")


def test_short_row(table):
    assert only_skipped(table(HEADER, "P1,a/pre.nii.gz"))[1] == "table-value"


@pytest.mark.parametrize("name, cell", [("survival_days", "alive"), ("survival_days", "-3"), ("survival_days", "inf")])
def test_bad_survival(table, name, cell):
    assert name in only_skipped(table(HEADER, f"P1,{GOOD},{cell}"))[2]


@pytest.mark.parametrize("name, cell", [("censored", "maybe"), ("gtv_labels", "1-4"), ("interval_days", "4 months")])
def test_bad_optional_value(table, name, cell):
    _, code, reason = only_skipped(table(f"{HEADER},{name}", f"P1,{GOOD},400,{cell}"))
    assert code == "table-value"
    assert cell in reason


def test_one_bad_row_does_not_touch_the_others(table):
    pairs, skipped = read_folder(table(HEADER, f"P1,{GOOD},alive", f"P2,{GOOD},400"))
    assert [pair.patient for pair in pairs] == ["P2"]
    assert [item.patient for item in skipped] == ["P1"]


def test_all_rows_of_a_duplicate_are_left_out(table):
    pairs, skipped = read_folder(table(HEADER, f"P01,{GOOD},400", f"p1,{GOOD},300", f"P2,{GOOD},1"))
    assert [pair.patient for pair in pairs] == ["P2"]
    assert [(item.patient, item.code) for item in skipped] == [
        ("P01", "duplicate-patient"),
        ("p1", "duplicate-patient"),
    ]
    assert drop_duplicates(pairs) == (pairs, [])


@pytest.mark.parametrize("text, key", [(" P-007 ", "p-7"), ("015", "15"), ("Patient_10", "patient_10"), ("0", "0")])
def test_normalized_id(text, key):
    assert normalized_id(text) == key


def test_natural_order():
    assert sorted(["p10", "P2", "15", "a"], key=natural_order) == ["15", "a", "P2", "p10"]


def test_numbers():
    assert parse_number(" 3,5 ", "value") == 3.5
    assert parse_number(None, "value") is None


def test_what_nobody_expected_of_a_patient_is_listed_with_its_type(table, monkeypatch):
    original = folder._pair

    def fails(row, place):
        if row["patient"] == "P1":
            raise RecursionError("too deep")
        return original(row, place)

    monkeypatch.setattr(folder, "_pair", fails)
    (pair,), (skipped,) = read_folder(table(HEADER, f"P1,{GOOD},400", f"P2,{GOOD},400"))
    assert (pair.patient, skipped.patient, skipped.code) == ("P2", "P1", "error")
    assert skipped.reason == "Unexpected failure: RecursionError: too deep"


@pytest.mark.parametrize("error", [OutputFolderError("full"), MissingPackageError("openpyxl", "read workbooks")])
def test_what_would_end_every_patient_ends_the_import(error):
    def fails():
        raise error

    with pytest.raises(type(error)):
        attempt("P1", fails)
