"""A few runs of each attack; `make faults` does many."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("victims are forked and limited as Linux does it", allow_module_level=True)

from rows import nightly

from faults.attacks import ATTACKS
from faults.ending import SMALL_RESULT
from faults.stand import Stand

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stand():
    with Stand(samples=2) as prepared:
        yield prepared


@pytest.mark.parametrize("name", [name for name, (_, few, _) in ATTACKS.items() if few])
def test_nothing_is_wrong_mixed_half_untyped_or_lost(stand, name):
    attack, few, _many = ATTACKS[name]
    tally = attack(stand, few)
    assert tally.runs >= few
    assert not tally.notes


def test_the_page_counts_what_the_command_does():
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text("utf-8")
    few, many = (sum(entry[k] for entry in ATTACKS.values()) for k in (1, 2))
    assert f"foreign environments | {few} attacks | {many:,} attacks |" in page
    runs = [int(number) for number in re.findall(r"^\w.{43} +(\d+)(?: +\d+){6}$", page, re.MULTILINE)]
    assert len(runs) == len(ATTACKS), "one row for each attack, in their order"
    for judged, (name, (_, _, asked)) in zip(runs, ATTACKS.items(), strict=True):
        assert judged in (asked, 2 * asked, 4 * asked) or (name.startswith("end-") and judged < asked), name
    assert f"judged, {sum(runs):,} in all" in page


def ends_of_deletions(out, listed):
    """Delete a small result before each line of its end; the exit codes, and whether the attack came too late.

    In a process without torch, whose copies are small.
    """
    subprocess.run([sys.executable, "-m", "faults.ending", out, *listed], env=Stand.environment(), check=True)
    return [(code, late) for _step, code, late in json.loads((out.parent / "ends.json").read_text("ascii"))]


def test_a_deletion_is_too_late_to_be_found_out_only_when_every_file_had_been_looked_for(tmp_path):
    ends = ends_of_deletions(tmp_path / "out", SMALL_RESULT)
    late = [end for end in ends if end != (21, False)]
    assert set(late) == {(0, True)} and ends[-len(late) :] == late
    assert len(late) < 5, "only the lines from the look for the last file to the return of the function that looks"


@nightly
def test_a_look_that_passes_over_a_file_is_found_out(tmp_path):
    ends = ends_of_deletions(tmp_path / "out", SMALL_RESULT[:1])
    assert ends[-1] == (0, False) and (0, True) not in ends
