"""300 damaged exports: each one is a case or a typed error, whatever a file holds."""

import random
import shutil
import warnings
from pathlib import Path

import phantoms
import pydicom
import pytest
from dicom_head import head_of
from fake_dicom import ball_contours, write_enhanced, write_series, write_structures
from GBMResponseCore.dicom.case import load_case
from GBMResponseCore.dicom.derived import segmentation
from GBMResponseCore.dicom.mr_series import mr_series
from GBMResponseCore.dicom.source import Making, read_source
from GBMResponseCore.errors import GBMResponseError
from rows import share

GRID = ((40, 44, 8), (4.4, 4.0, 9.0))
INPUTS, GROUPS = 300, 10
VALUES = (None, "", "x", "-1", "0", "nan", "1e999", "9" * 16, ["1", "2"], b"\x00\xff", [])


@pytest.fixture(scope="module")
def exports(tmp_path_factory) -> list[Path]:
    """A series with an RTSTRUCT and a SEG, and an object of many frames with an RTSTRUCT."""
    folder = tmp_path_factory.mktemp("exports")
    image = phantoms.head(*GRID)
    header = write_series(folder / "single" / "t1", image, RescaleSlope=1, RescaleIntercept=0)
    gtv = {"GTV": ball_contours(image, phantoms.GTV_CENTER, 18)}
    write_structures(folder / "single" / "RS.dcm", header, gtv)
    (folder / "seg").mkdir()
    head = head_of(folder / "single" / "t1", header)
    mask = phantoms.gtv(*GRID, radius_mm=18)
    mask.CopyInformation(head.image)
    (folder / "seg" / "seg.dcm").write_bytes(segmentation(head.source, Making("m", "h"), mask, "GTV", 1))
    shutil.copytree(folder / "single" / "t1", folder / "seg" / "t1")
    header = write_enhanced(folder / "many" / "a.dcm", image, range(8))
    write_structures(folder / "many" / "RS.dcm", header, gtv)
    return [folder / name for name in ("single", "seg", "many")]


def mutate(path: Path, choose: random.Random) -> None:
    """Spoil a file: bytes, its length, a tag anywhere in it, or what a tag holds."""
    content = bytearray(path.read_bytes())
    kind = choose.choice(("bytes", "header", "cut", "tag", "tag", "lost"))
    if kind in ("bytes", "header"):
        end = len(content) if kind == "bytes" else min(len(content), 1500)
        for _ in range(choose.randint(1, 12)):
            content[choose.randrange(end)] = choose.randrange(256)
        path.write_bytes(content)
    elif kind == "cut":
        path.write_bytes(content[: choose.randrange(len(content))])
    else:
        dataset = pydicom.dcmread(path)
        items, element = [dataset], None
        while element is None or (element.VR == "SQ" and element.value and choose.random() < 0.8):
            items = [choose.choice(list(element.value))] if element is not None else items
            element = choose.choice(list(items[0]))
        if kind == "lost":
            del items[0][element.tag]
        else:
            items[0][element.tag] = pydicom.DataElement(element.tag, element.VR, choose.choice(VALUES))
        dataset.save_as(path)


@pytest.mark.parametrize("group", share(range(GROUPS), 4))
def test_a_damaged_export_is_a_case_or_a_typed_error(exports, tmp_path, group):
    outcomes = []
    for number in range(group * INPUTS // GROUPS, (group + 1) * INPUTS // GROUPS):
        choose = random.Random(number)
        source, folder = choose.choice(exports), tmp_path / str(number)
        shutil.copytree(source, folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            while True:
                try:
                    mutate(choose.choice(sorted(path for path in folder.rglob("*") if path.is_file())), choose)
                    break
                except Exception:  # pydicom itself refuses to write such a value
                    continue
            labels = ["SYNTHETIC GTV"] if source.name == "seg" else []
            gtv = folder / "seg.dcm" if source.name == "seg" else folder
            try:
                case = load_case(folder, gtv, gtv_labels=labels)
                next(mr_series(read_source(case.origin.series), Making("m", "h"), case.image, "x", 1))
                outcomes.append("case")
            except GBMResponseError as error:
                outcomes.append(error.code)
        shutil.rmtree(folder)
    assert len(outcomes) == INPUTS // GROUPS
    assert len(set(outcomes)) > 1
