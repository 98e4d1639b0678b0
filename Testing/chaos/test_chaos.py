"""The chaos in small, with workers that predict nothing; `make chaos` does it with a model and many cases."""

import sys

import pytest
import SimpleITK as sitk

from chaos.cohort import Chaos, python

pytest.importorskip("distributed")
if sys.platform != "linux":
    pytest.skip("workers are found as Linux tells of processes", allow_module_level=True)

pytestmark = pytest.mark.slow


@pytest.fixture
def table(tmp_path):
    lines = ["id,image,gtv"]
    for number in range(16):
        image = tmp_path / f"{'bad' if number % 8 == 7 else 'good'}{number}.nrrd"
        sitk.WriteImage(sitk.Image(40, 40, 3, sitk.sitkInt16) + number, str(image))
        lines.append(f"case{number:02d},{image},{image}")
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return tmp_path / "cases.csv"


def test_killed_workers_and_clients_lose_no_case_and_make_none_twice(table, tmp_path):
    command = python("-m", "chaos.fake_client", str(table), str(tmp_path / "out"))
    outcome = Chaos(command, table, tmp_path / "out").run(["worker", "client"])
    assert (outcome.done, outcome.codes, outcome.waiting) == (14, {"not-mr": 2}, 0), outcome
    assert outcome.twice == []
    assert outcome.left == []
    assert outcome.exit_codes == [3]
    assert outcome.killed == {"workers": 1, "clients": 1}
