import re

import numpy as np
import phantoms
import pydicom
import pytest
from fake_dicom import ball_contours, write_series, write_structures
from GBMResponseCore.dicom.choice import choose_t1_gd, rank_series
from GBMResponseCore.dicom.tree import scan_tree
from GBMResponseCore.errors import DicomSeriesError

IMAGE = phantoms.head((32, 36, 4), (4.4, 4.4, 20.0))


def found(tmp_path, **series):
    """Series of these tags by name, and what is found of each."""
    for number, (name, tags) in enumerate(series.items(), start=1):
        write_series(tmp_path / name, IMAGE, number=number, **({"description": name} | tags))
    return scan_tree(tmp_path).series


def reasons(series) -> str:
    return rank_series(series)[0].sentence()


@pytest.mark.parametrize(
    "tags, reason",
    [
        ({"description": "t1_mprage_sag +Gd"}, "the description says T1 with contrast"),
        ({"description": "Head", "ContrastBolusAgent": "Gadovist"}, "contrast agent Gadovist"),
        ({"description": "T1 SE"}, "the description says T1"),
        ({"description": "T1 pre contrast"}, "no contrast"),
        ({"description": "FLAIR"}, "another kind of image"),
        ({"description": "Head", "EchoTime": 92}, "echo time 92 ms, as of T2"),
        ({"description": "T1 +C", "ImageType": ["DERIVED", "SECONDARY", "SUBTRACTION"]}, "made from other images"),
        ({"description": "T1 +C", "modality": "CT"}, "it is no MR"),
        ({"description": "T1 +C", "SyntheticData": "YES"}, "synthetic, no scan"),
        ({"description": "T1 +C", "leave_out": [1]}, "mm apart"),
    ],
)
def test_the_reason_is_given(tmp_path, tags, reason):
    (series,) = found(tmp_path, a=tags)
    assert re.search(reason, reasons([series]))


def test_the_t1_with_contrast_is_chosen_among_the_series_of_a_study(tmp_path):
    series = found(
        tmp_path, localizer={}, FLAIR={}, T1_native={"description": "T1 MPRAGE native"},
        T1={"description": "T1 MPRAGE", "ContrastBolusAgent": "Gadovist"}, T1_sub={"description": "T1 sub +C"},
    )  # fmt: skip
    assert choose_t1_gd(series).series.number == "4"


def test_of_two_that_fit_the_one_that_was_drawn_on_is_chosen(tmp_path):
    series = found(tmp_path, a={"description": "T1 +C axial"}, b={"description": "T1 +C sagittal"})
    with pytest.raises(DicomSeriesError, match=r"2 series may be T1-Gd; there are: .*axial.*sagittal"):
        choose_t1_gd(series)
    assert choose_t1_gd(series, drawn_on={series[1].uid}).series == series[1]
    assert choose_t1_gd(series, wanted="t1 +c AXIAL").series.description == "T1 +C axial"
    assert choose_t1_gd(series, wanted="2").series.description == "T1 +C sagittal"
    assert choose_t1_gd(series, wanted=series[0].uid).series == series[0]


def test_nothing_is_guessed_where_nothing_says_t1_with_contrast(tmp_path):
    series = found(tmp_path, FLAIR={}, T1={})
    with pytest.raises(DicomSeriesError, match=r"No series says that it is T1-Gd; there are: .*FLAIR") as caught:
        choose_t1_gd(series)
    assert "--series" in caught.value.remedy


def test_the_only_series_is_the_input_whatever_it_is_called(tmp_path):
    (series,) = found(tmp_path, Head={})
    assert choose_t1_gd([series]).series == series


def test_a_result_of_ours_is_never_an_input(tmp_path):
    series = found(tmp_path, a={"description": "T1 +C", "Manufacturer": "GBMResponse"})
    with pytest.raises(DicomSeriesError, match="it is synthetic, no scan"):
        choose_t1_gd(series)


def test_structures_that_were_generated_are_passed_over(tmp_path):
    header = write_series(tmp_path / "a", IMAGE)
    path = write_structures(tmp_path / "RS.dcm", header, {"GTV": ball_contours(IMAGE, np.zeros(3), 30)})
    assert len(scan_tree(tmp_path).structure_sets) == 1
    dataset = pydicom.dcmread(path)
    dataset.SyntheticData = "YES"
    dataset.save_as(path)
    assert scan_tree(tmp_path).structure_sets == ()
