"""A few runs of each attack; `make faults` does many."""

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("victims are forked and limited as Linux does it", allow_module_level=True)

from faults.attacks import ATTACKS
from faults.stand import Stand

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stand():
    with Stand() as prepared:
        yield prepared


@pytest.mark.parametrize("name", [name for name, (_, few, _) in ATTACKS.items() if few])
def test_nothing_is_wrong_mixed_half_untyped_or_lost(stand, name):
    attack, few, _many = ATTACKS[name]
    tally = attack(stand, few)
    assert tally.runs >= few
    assert not tally.notes
