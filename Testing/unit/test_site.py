"""The pages: what is made from code is up to date, and links lead somewhere. `make site` builds them strictly."""

import re
from importlib import metadata, util
from pathlib import Path

import pytest
from tools import make_dependencies

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def test_the_page_of_dependencies_is_that_of_pyproject():
    assert make_dependencies.PAGE.read_text("utf-8") == make_dependencies.page(), (
        "run: python Testing/tools/make_dependencies.py"
    )


def stated_license(name):
    content = metadata.metadata(name)
    classifiers = [entry for entry in content.get_all("Classifier") or [] if entry.startswith("License")]
    return " ".join([content.get("License-Expression") or "", (content.get("License") or "")[:200], *classifiers])


WORDS = {"BSD-3-Clause": "BSD", "BSD-2-Clause": "BSD", "Apache-2.0": "Apache", "MPL-2.0": "MPL|Mozilla"}
WORDS |= {"MIT-CMU": "MIT-CMU|HPND|Historical", "BSD-style": "Apache"}  # the wheel of Slicer names another one
WORDS |= {"PSF-2.0": "Python Software Foundation", "LGPL-3.0": "LGPL", "GPL-3.0": "GPL|MIT"}


@pytest.mark.parametrize("name", make_dependencies.PACKAGES)
def test_a_package_has_the_license_that_the_page_states(name):
    try:
        stated = stated_license(name)
    except metadata.PackageNotFoundError:
        pytest.skip("not installed")
    for part in make_dependencies.PACKAGES[name][0].split(" AND "):
        part = part.split(" (")[0]
        assert re.search(WORDS.get(part, part), stated), stated


def anchors(page):
    """Of the headings of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    text = re.sub(r"^```.*?^```|`[^`\n]+`", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_every_page_is_in_the_site():
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8").split("\nnav:\n")[1]
    named = set(re.findall(r": ([\w-]+\.md)$", navigation, re.MULTILINE))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= named


@pytest.mark.skipif(util.find_spec("mkdocs") is None, reason="needs the extra docs")
def test_links_are_turned_into_those_of_the_site_and_broken_ones_stay():
    from tools.site_pages import on_page_markdown

    class Page:
        class file:
            src_uri = "outputs.md"

    class Files:
        src_uris = {"user-guide.md": None}

    class Configuration:
        repo_url = "https://example.org/repository"

    def turned(text):
        return on_page_markdown(text, page=Page, config=Configuration, files=Files)

    assert turned("[a](user-guide.md#x)") == "[a](user-guide.md#x)"
    assert turned("[a](../Makefile)") == "[a](https://example.org/repository/blob/main/Makefile)"
    assert turned("[a](none.md)") == "[a](none.md)"
    assert turned("`[a](../Makefile)`") == "`[a](../Makefile)`"
