"""The table of a cohort: what it may hold, and what is refused with the line to look at."""

import pytest
from GBMResponseCore.errors import CaseTableError, EmptyFileError, MissingFileError
from GBMResponseCore.inputs.case_table import read_case_table


@pytest.fixture
def read(tmp_path):
    def call(content, encoding="utf-8"):
        path = tmp_path / "cases.csv"
        path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
        return read_case_table(path)

    return call


def test_paths_start_at_the_tables_folder(read, tmp_path):
    (case,) = read("id,image,gtv\np1,a/pre.nrrd,gtv.nrrd\n")
    assert (case.image, case.gtv, case.follow_up) == (tmp_path / "a/pre.nrrd", tmp_path / "gtv.nrrd", None)
    assert case.classes == ("auto",)


def test_absolute_paths_stay(read, tmp_path):
    path = tmp_path.parent / "pre.nrrd"
    (case,) = read(f"id,image,gtv\np1,{path},{path}\n")
    assert case.image == path


def test_optional_columns_in_any_order(read, tmp_path):
    first, second = read("class,gtv,id,image,follow_up\nshort + long,g,p1,i,f\n,g,p2,i,\n")
    assert first.classes == ("short", "long")
    assert first.follow_up == tmp_path / "f"
    assert (second.classes, second.follow_up) == (("auto",), None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", [",", ";"])
def test_files_of_spreadsheets_are_read(read, encoding, separator):
    text = "id,image,gtv\r\nMüller-1,Bild 1.nrrd,g.nrrd\r\n,,\r\n".replace(",", separator)
    (case,) = read(text, encoding)
    assert (case.identifier, case.image.name) == ("Müller-1", "Bild 1.nrrd")


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nid;image;gtv\r\np1;pre.nrrd;gtv.nrrd\r\n",
        '"SEP=;"\nid;image;gtv\np1;pre.nrrd;gtv.nrrd\n',
        "id\timage\tgtv\np1\tpre.nrrd\tgtv.nrrd\n",
        "\n\nid,image,gtv\n   \n,,\np1,pre.nrrd,gtv.nrrd\n , ,\n\n",
        " ID , Image,GTV,Follow-Up,Class\np1,pre.nrrd,gtv.nrrd,,\n",
        "id,image,gtv,Follow  up,,\np1,pre.nrrd,gtv.nrrd,,,\n",
        "Id;Image;Gtv\rp1;pre.nrrd;gtv.nrrd\r",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_is_read_as_spreadsheets_write_it(read, tmp_path, text, encoding):
    (case,) = read(text, encoding)
    assert (case.identifier, case.image, case.gtv) == ("p1", tmp_path / "pre.nrrd", tmp_path / "gtv.nrrd")


def test_lines_are_counted_as_an_editor_counts_them(read):
    with pytest.raises(CaseTableError, match="line 5 of the table has no image"):
        read("sep=;\nid;image;gtv\n\np1;i;g\np2;;g\n")


def test_quoted_cells_may_hold_commas(read):
    assert read('id,image,gtv\np1,"a, b.nrrd",g\n')[0].image.name == "a, b.nrrd"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("id,image\np1,i\n", "lacks the column 'gtv'"),
        ("id,image,gtv,folow_up\np1,i,g,f\n", "unknown column 'folow_up'"),
        ("id,image,gtv,gtv\np1,i,g,g\n", "column twice"),
        ("id,image,gtv\n", "no cases"),
        ("id,image,gtv\np1,i,g\np1,i,g\n", "'p1' is there twice"),
        ("id,image,gtv\np1,i,g\nP1,i,g\n", "'P1' is there twice"),
        ("id,image,gtv\n,i,g\n", "'' in line 2"),
        ("id,image,gtv\n../p1,i,g\n", "cannot name a folder"),
        ("id,image,gtv\n.p1,i,g\n", "cannot name a folder"),
        ("id,image,gtv\na.,i,g\n", "cannot name a folder"),
        ("id,image,gtv\na/b,i,g\n", "cannot name a folder"),
        ("id,image,gtv\na\\b,i,g\n", "cannot name a folder"),
        (f"id,image,gtv\n{'a' * 201},i,g\n", "cannot name a folder"),
        (f"id,image,gtv\n{'語' * 67},i,g\n", "cannot name a folder"),
        ("id,image,gtv\nsummary.csv,i,g\n", "the name of something else"),
        ("id,image,gtv\nSummary-1.CSV,i,g\n", "the name of something else"),
        ("id,image,gtv\nmeasurements.csv,i,g\n", "the name of something else"),
        ("id,image,gtv\nCON,i,g\n", "the name of something else"),
        ("id,image,gtv\nnul.nii,i,g\n", "the name of something else"),
        ("id,image,gtv\ncom1,i,g\n", "the name of something else"),
        ("id,image,gtv\nM\u00fcller,i,g\nMu\u0308LLER,i,g\n", "cannot name a folder"),
        ("id,image,gtv\nM\u00fcller,i,g\nM\u00dcLLER,i,g\n", "is there twice"),
        ("id,image,gtv\np1,i,g\0\n", "is no text"),
        ("id,image,gtv\np1,i,g\np2,,g\n", "p2 in line 3 of the table has no image"),
        ("id,image,gtv\np1,i,\n", "has no gtv"),
        ("id,image,gtv\np1,i\n", "line 2 of the table has no gtv"),
        ("id,image,gtv\np1,i,g,x\n", "Line 2"),
        ('id,image,gtv\np1,"i,g\n', "no valid CSV"),
        ("id,image,gtv\nM\xfcller,i,g\n".encode("latin-1"), "not UTF-8"),
    ],
)
def test_a_bad_table_is_refused(read, content, words):
    with pytest.raises(CaseTableError) as caught:
        read(content)
    assert words in caught.value.message
    assert caught.value.remedy


def test_a_missing_and_an_empty_table(read, tmp_path):
    with pytest.raises(MissingFileError):
        read_case_table(tmp_path / "nowhere.csv")
    with pytest.raises(EmptyFileError):
        read("")
