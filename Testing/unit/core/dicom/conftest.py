"""What the tests of DICOM have in common: a head as a series, and what results are made of."""

import phantoms
import pytest
from dicom_head import DIRECTION, GRID, Head, head_of
from fake_dicom import write_series
from GBMResponseCore.dicom.source import Making


@pytest.fixture
def head(tmp_path) -> Head:
    header = write_series(tmp_path / "export" / "t1", phantoms.head(*GRID, direction=DIRECTION))
    return head_of(tmp_path / "export" / "t1", header)


@pytest.fixture
def making() -> Making:
    return Making("demo 1.1", "ab" * 32)
