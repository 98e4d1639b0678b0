"""Write GBMResponse/Resources/Translations/GBMResponse.ts from the texts of the module: the template of translators.

    python Testing/tools/make_translations.py

Run it after a text was added or worded anew; a test compares the file with the code. Contexts are those that
slicer.i18n.tr computes (folder and file) and, of the panel's form, those of Qt's uic (its class).
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "GBMResponse"
TEMPLATE = MODULE / "Resources" / "Translations" / "GBMResponse.ts"


class UnreadableText(ValueError):
    """A text that is no literal: translators would never see it."""


def texts() -> dict[str, list[str]]:
    """Return context -> texts, each once, in the order of the files."""
    found: dict[str, list[str]] = {}
    sources = [MODULE / "GBMResponse.py", *sorted((MODULE / "GBMResponseLib").rglob("*.py"))]
    for path in sources:
        for context, text in _ofCode(path):
            found.setdefault(context, []).append(text)
    for path in sorted((MODULE / "Resources" / "UI").glob("*.ui")):
        form = ElementTree.parse(path).getroot()
        strings = [node.text for node in form.iter("string") if node.text and node.get("notr") != "true"]
        found.setdefault(form.findtext("class"), []).extend(strings)
    return {context: list(dict.fromkeys(several)) for context, several in found.items()}


def template() -> str:
    """Return the content of the file."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<!DOCTYPE TS>", '<TS version="2.1">']
    for context, several in texts().items():
        lines += ["<context>", f"    <name>{escape(context)}</name>"]
        for text in several:
            lines += ["    <message>", f"        <source>{escape(text)}</source>"]
            lines += ['        <translation type="unfinished"></translation>', "    </message>"]
        lines.append("</context>")
    return "\n".join([*lines, "</TS>", ""])


def _ofCode(path: Path) -> Iterator[tuple[str, str]]:
    inPackage = (path.parent / "__init__.py").is_file()
    own = f"{path.parent.name}.{path.stem}" if inPackage else path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
        if name == "_":
            yield own, _literal(path, node.args[0])
        elif name == "translate":
            yield _literal(path, node.args[0]), _literal(path, node.args[1])


def _literal(path: Path, node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise UnreadableText(f"{path.name}, line {node.lineno}: only plain texts can be translated")


if __name__ == "__main__":
    TEMPLATE.parent.mkdir(exist_ok=True)
    TEMPLATE.write_text(template(), encoding="utf-8", newline="\n")
    print(f"{TEMPLATE.relative_to(ROOT)} written.", file=sys.stderr)
