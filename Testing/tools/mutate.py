"""Change a module line by line and see whether a test notices: mutation testing, docs/mutation.md.

    python Testing/tools/mutate.py grid response --every 5

A change is one operator, comparison, constant, condition or returned value. The module is changed in a copy, never in
place; the tests that belong to it run in a child process that has everything imported already. Linux and macOS.
"""

import argparse
import ast
import copy
import importlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "GBMResponse" / "GBMResponseCore"
UNIT = "Testing/unit/core"
MODULES = {
    "grid": ("inputs/grid.py", ["inputs/test_grid.py", "inputs/test_resampling.py", "inputs/test_composition.py"]),
    "sampling": ("model/sampling.py", ["model/test_sampling.py", "model/test_noise.py", "test_prediction.py"]),
    "response": ("measure/response.py", ["measure/test_response.py"]),
    "planning": ("measure/planning.py", ["measure/test_planning.py"]),
}
LONGEST_S = 120
"""Tests that compute longer, or wait ten times as long, are in an endless loop that the change has made."""

_OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A changed module.

    :param line: in the source.
    :param words: what was changed.
    """

    line: int
    words: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every change of a module, in the order of its lines. Docstrings, annotations and messages stay."""
    tree = ast.parse(source)
    found = sorted(places(tree), key=lambda place: place[0])
    for line, path, words, change in found:
        changed = copy.deepcopy(tree)
        change(_at(changed, path))
        yield Mutant(line, words, ast.unparse(ast.fix_missing_locations(changed)))


def places(tree: ast.AST) -> Iterator[tuple]:
    """Line, way to the node, words and what changes the node, of every change."""
    for node, path in _walk(tree, ()):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            yield line, path, _words(node), _new_operator
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in _OPERATORS:
            yield line, path, _words(node), _new_comparison
        elif isinstance(node, ast.BoolOp):
            yield line, path, _words(node), _new_operator
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield line, path, f"{node.value} + 1", _next_number
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield line, path, f"not {node.value}", _not
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
            yield line, path, f"without the sign: {ast.unparse(node)}", _without_sign
        elif isinstance(node, ast.If | ast.IfExp | ast.While) and ast.unparse(node.test) != "TYPE_CHECKING":
            yield line, path, f"never: {ast.unparse(node.test)}", _never


def _walk(node: ast.AST, path: tuple) -> Iterator[tuple[ast.AST, tuple]]:
    yield node, path
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "exc", "msg"):
            continue
        for number, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield from _walk(child, (*path, (name, number if isinstance(value, list) else None)))


def _at(node: ast.AST, path: tuple) -> ast.AST:
    for name, number in path:
        node = getattr(node, name) if number is None else getattr(node, name)[number]
    return node


def _words(node: ast.BinOp | ast.BoolOp | ast.Compare) -> str:
    changed = copy.deepcopy(node)
    (_new_comparison if isinstance(node, ast.Compare) else _new_operator)(changed)
    return f"{ast.unparse(node)} -> {ast.unparse(changed)}"


def _new_operator(node: ast.BinOp | ast.BoolOp) -> None:
    node.op = _OPERATORS[type(node.op)]()


def _new_comparison(node: ast.Compare) -> None:
    node.ops[0] = _OPERATORS[type(node.ops[0])]()


def _next_number(node: ast.Constant) -> None:
    node.value += 1


def _not(node: ast.Constant) -> None:
    node.value = not node.value


def _without_sign(node: ast.UnaryOp) -> None:
    node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
    if isinstance(node.op, ast.Not):
        node.operand = ast.UnaryOp(ast.Not(), node.operand)


def _never(node: ast.If | ast.IfExp | ast.While) -> None:
    node.test = ast.Constant(False)


def killed(folder: Path, tests: list[str]) -> bool:
    """Whether a test fails with the package in a folder, or takes too long."""
    child = os.fork()
    if not child:
        os.setsid()
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os.chdir(ROOT)
        os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (folder, ROOT)))
        import resource  # not on Windows

        import pytest

        resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_S, LONGEST_S))
        paths = f"pythonpath={folder} {ROOT} {ROOT / 'Testing'}"
        words = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly", "-o", paths]
        os._exit(int(pytest.main([*words, *(f"{UNIT}/{name}" for name in tests)])))
    began = time.monotonic()
    while time.monotonic() - began < 10 * LONGEST_S:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def try_module(name: str, every: int) -> list[Mutant]:
    """Try every n-th change of a module; returns those that no test notices."""
    module, tests = MODULES[name]
    source = (CORE / module).read_text("utf-8")
    chosen = list(mutants(source))[::every]
    survivors = []
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(CORE, folder / "GBMResponseCore", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "Resources").symlink_to(CORE.parent / "Resources")
        if killed(folder, tests):
            raise SystemExit(f"{name}: the tests fail without a change")
        for mutant in chosen:
            (folder / "GBMResponseCore" / module).write_text(mutant.source, "utf-8")
            if not killed(folder, tests):
                survivors.append(mutant)
                print(f"  {module}:{mutant.line}: {mutant.words}", flush=True)
    print(f"{name}: {len(chosen)} changes, {len(survivors)} that no test notices", flush=True)
    return survivors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", choices=[*MODULES, []], help="default: all")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every n-th change")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.dont_write_bytecode = True
    chosen = arguments.modules or list(MODULES)
    heavy = ("torch", "diffusers.schedulers") if "sampling" in chosen else ()
    for package in ("numpy", "scipy.ndimage", "SimpleITK", "pytest", *heavy):
        importlib.import_module(package)
    for name in chosen:
        try_module(name, arguments.every)


if __name__ == "__main__":
    main()
