"""The changes that mutation testing makes are those that it says, one at a time, and the rest of the file stays."""

import ast

import pytest
from tools.mutate import CORE, MODULES, ROOT, UNIT, mutants, places

SOURCE = '''
"""Words with 1 + 1 in them."""
LIMIT = 3


def f(x: int = 1) -> bool:
    if not x or x < LIMIT:
        raise ValueError("x - 1")
    return x * 2 == -LIMIT and True
'''


def test_every_operator_number_condition_and_sign_is_changed_once():
    found = [(mutant.line, mutant.words) for mutant in mutants(SOURCE)]
    assert found == [
        (3, "3 + 1"),
        (6, "1 + 1"),
        (7, "never: not x or x < LIMIT"),
        (7, "not x or x < LIMIT -> not x and x < LIMIT"),
        (7, "without the sign: not x"),
        (7, "x < LIMIT -> x <= LIMIT"),
        (9, "x * 2 == -LIMIT and True -> x * 2 == -LIMIT or True"),
        (9, "x * 2 == -LIMIT -> x * 2 != -LIMIT"),
        (9, "x * 2 -> x / 2"),
        (9, "2 + 1"),
        (9, "without the sign: -LIMIT"),
        (9, "not True"),
    ]


def test_a_change_changes_one_place():
    plain = ast.unparse(ast.parse(SOURCE)).splitlines()
    for mutant in mutants(SOURCE):
        changed = mutant.source.splitlines()
        assert len(changed) == len(plain)
        assert sum(one != other for one, other in zip(plain, changed, strict=True)) == 1, mutant.words


@pytest.mark.parametrize("name", MODULES)
def test_the_modules_and_their_tests_are_there(name):
    module, tests = MODULES[name]
    count = len(list(places(ast.parse((CORE / module).read_text("utf-8")))))
    assert count > 50
    assert f"| `{module}` | {count} |" in (ROOT / "docs" / "mutation.md").read_text("utf-8")
    assert all((ROOT / UNIT / test).is_file() for test in tests)
