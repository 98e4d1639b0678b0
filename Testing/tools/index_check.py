"""Apply the Extensions Index's machine checks to a clone, without a network: `index_check.py CLONE`.

The rules are those of `scripts/check_description_files.py` of Slicer/ExtensionsIndex (07f1d1b); what only a server can
answer (the topic of the repository, whether the URLs are there) is left out. Prints a line per rule; exit code 1 if one
is broken.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema

ENTRY = "Resources/ExtensionsIndex/GBMResponse.json"
LIMIT_MIB = 100
OUR_LIMIT_MIB = 75
"""Below the Index's, so that it never comes as a surprise."""
_LICENSES = ("LICENSE", "LICENCE", "License.txt", "license.txt", "LICENSE.txt", "COPYING", "COPYING.txt")
_PREFIXES = ("Slicer", "SlicerExtension-", "SlicerExtension_")
_CATEGORY = "Image Synthesis"
_PNG = b"\x89PNG\r\n\x1a\n"
_TEXT = (".py", ".md", ".txt", ".json", ".yaml", ".yml", ".toml", ".cmake", ".sh", ".ui", ".cff", ".html")
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["$schema", "category", "scm_url"],
    "properties": {
        "$schema": {"type": "string", "pattern": r"slicer-extension-catalog-entry-schema-v1\.0\.[12]\.json#?$"},
        "build_dependencies": {"type": "array", "items": {"type": "string"}},
        "build_subdirectory": {"type": "string"},
        "category": {"type": "string"},
        "enabled": {"type": "boolean"},
        "scm_revision": {"type": "string"},
        "scm_type": {"enum": ["git"]},
        "scm_url": {"type": "string", "pattern": "^(https|git)://"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}


def size_mib(clone: Path) -> float:
    """Size of all files of a clone, its history included."""
    return sum(path.stat().st_size for path in clone.rglob("*") if path.is_file()) / 1024**2


def check_size(clone: Path, entry: dict) -> str:
    size = size_mib(clone)
    _require(size <= OUR_LIMIT_MIB, f"{size:.1f} MiB, more than {OUR_LIMIT_MIB}")
    return f"{size:.1f} MiB with history (the Index allows {LIMIT_MIB}, we {OUR_LIMIT_MIB})"


def check_entry(clone: Path, entry: dict) -> str:
    content = (clone / ENTRY).read_bytes()
    _require(b"\r" not in content, "line ends are not LF")
    jsonschema.validate(entry, _SCHEMA)
    name, repository = Path(ENTRY).stem, Path(urlsplit(entry["scm_url"]).path).stem
    _require(not name.lower().startswith("slicer"), f"the extension is called {name}")
    _require(repository.startswith(_PREFIXES), f"the repository is called {repository}")
    _require(entry["category"] == _CATEGORY, f"the category is {entry['category']}")
    return f"{name}, {entry['category']}, tier {entry['tier']}"


def check_cmake(clone: Path, entry: dict) -> str:
    text = (clone / "CMakeLists.txt").read_text("utf-8")
    project = re.search(r"project\s*\(\s*([^\s)]+)", text, re.IGNORECASE)
    _require(project is not None and project[1] == Path(ENTRY).stem, "project() is not the extension's name")
    pictures = []
    for variable in ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"):
        found = re.search(rf'set\s*\({variable}\s*"([^"]+)"\s*\)', text)
        _require(found is not None, f"there is no {variable}")
        pictures += found[1].split()
    root = f"/{_owner(entry)}/{entry['scm_revision']}/"
    for url in pictures:
        parts = urlsplit(url)
        _require(parts.netloc == "raw.githubusercontent.com" and parts.path.startswith(root), f"{url} is elsewhere")
        file = clone / parts.path.removeprefix(root)
        _require(file.is_file() and file.read_bytes()[:8] == _PNG, f"{url} shows no PNG file of the repository")
    depends = re.search(r'set\s*\(EXTENSION_DEPENDS\s*"([^"]*)"', text)
    _require(depends is not None and depends[1].split() == entry["build_dependencies"], "dependencies differ")
    return f"project, {len(pictures)} pictures, dependencies {' '.join(entry['build_dependencies'])}"


def check_license(clone: Path, entry: dict) -> str:
    found = [name for name in _LICENSES if (clone / name).is_file()]
    _require(bool(found), "there is no license file in the root")
    return found[0]


def check_line_ends(clone: Path, entry: dict) -> str:
    files = [path for path in clone.rglob("*") if path.suffix in _TEXT and ".git" not in path.parts]
    wrong = [path for path in files if b"\r\n" in path.read_bytes()]
    _require(not wrong, f"line ends of {', '.join(str(path.relative_to(clone)) for path in wrong[:3])} are not LF")
    return f"LF in {len(files)} files"


CHECKS: dict[str, Callable[[Path, dict], str]] = {
    "size": check_size,
    "entry": check_entry,
    "CMakeLists.txt": check_cmake,
    "license": check_license,
    "line ends": check_line_ends,
}


class BrokenRuleError(Exception):
    """What breaks a rule, in words."""


def check(clone: Path) -> dict[str, str | BrokenRuleError]:
    """Apply all rules to a clone; what each found, or what breaks it."""
    results: dict[str, str | BrokenRuleError] = {}
    for name, rule in CHECKS.items():
        try:
            results[name] = rule(clone, json.loads((clone / ENTRY).read_text("utf-8")))
        except BrokenRuleError as error:
            results[name] = error
        except (OSError, ValueError, KeyError, jsonschema.ValidationError) as error:
            results[name] = BrokenRuleError(f"{type(error).__name__}: {error}".splitlines()[0])
    return results


def _owner(entry: dict) -> str:
    return urlsplit(entry["scm_url"]).path.removesuffix(".git").strip("/")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise BrokenRuleError(what)


def main(clone: Path) -> int:
    """Print what the rules say; returns the exit code."""
    results = check(clone)
    for name, result in results.items():
        print(f"{'FAIL' if isinstance(result, BrokenRuleError) else 'ok  '} {name}: {result}")
    return int(any(isinstance(result, BrokenRuleError) for result in results.values()))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
