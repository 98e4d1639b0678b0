"""Names and tags of clinical volumes: pre-contrast is never taken for before treatment."""

import pytest
from GBMResponseLib.inputs.SequenceHints import SequenceHints, clearInput, sequenceHints


@pytest.mark.parametrize(
    "name",
    [
        "AX T1 POST GAD", "5: t1_mprage_sag_gd", "T1CE", "t1c", "T1Gd", "T1 +C", "T1 C+", "BraTS t1ce",
        "AX T1 FSPGR w contrast", "BTP05 pre T1-Gd", "T1 SE KM", "Ax T1 Post", "MPRAGE postcontrast",
    ],
)  # fmt: skip
def test_names_of_enhanced_t1_are_known(name):
    hints = sequenceHints(name, {})
    assert (hints.contrast, hints.instead) == (True, "")


@pytest.mark.parametrize(
    "name",
    ["AX T1 PRE", "AX T1 PRE GAD", "T1 pre-contrast", "T1 w/o contrast", "T1 nativ", "T1 non-contrast", "T1 no Gd"],
)  # fmt: skip
def test_a_clinical_pre_is_before_contrast(name):
    assert sequenceHints(name, {}) == SequenceHints(instead="pre-contrast")


@pytest.mark.parametrize(
    ("name", "instead"),
    [("AX FLAIR", "FLAIR"), ("Ax T2 TSE", "T2"), ("ADC map", "ADC"), ("CT head", "CT"), ("RTDOSE: plan 1", "RTDOSE")],
)
def test_other_sequences_are_known_by_name(name, instead):
    assert sequenceHints(name, {}) == SequenceHints(instead=instead)


@pytest.mark.parametrize("name", ["BTP05 follow-up T1-Gd", "T1 Gd post RT", "T1 Gd postop", "t1ce FU 3 months"])
def test_what_comes_after_treatment_is_known_by_name(name):
    assert sequenceHints(name, {}).later


@pytest.mark.parametrize("name", ["pre", "Image", "MRHead", "PGBM-012", "contour", "t1rho"])
def test_a_name_that_tells_nothing_is_not_judged(name):
    assert sequenceHints(name, {}) == SequenceHints()


def test_tags_win_over_names():
    assert sequenceHints("T1 Gd", {"Modality": "CT"}) == SequenceHints(instead="CT", byTag=True)
    hints = sequenceHints("6: Series", {"Modality": "MR", "ContrastBolusAgent": "Gadovist", "StudyDate": "20190304"})
    assert hints == SequenceHints(contrast=True, byTag=True, date="2019-03-04")
    assert hints.text == "T1 with contrast, 2019-03-04"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["AX T1 PRE", "AX T1 POST GAD"], 1),
        (["FLAIR", "T2", "t1ce", "t1"], 2),
        (["BTP05 pre T1-Gd", "BTP05 follow-up T1-Gd"], 0),
        (["T1 Gd A", "T1 Gd B"], None),
        (["first", "second"], None),
        (["whatever"], 0),
        (["AX FLAIR"], None),
        ([], None),
    ],
)
def test_only_one_clear_candidate_is_preselected(names, expected):
    assert clearInput([sequenceHints(name, {}) for name in names]) == expected
