"""What MkDocs is told of this repository, as a hook of mkdocs.yml.

Pages that lie outside docs/ (README.md, CHANGELOG.md...) are part of the site; links are written for readers of the
repository, and here turned into links of the site, or to the repository's own page of a file that is no page.
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markdown import Markdown
from markdown.extensions import Extension
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT = Path(__file__).resolve().parents[2]
_CARDS = sorted((ROOT / "GBMResponse" / "Resources" / "Models").glob("*/MODEL_CARD.md"))
OUTSIDE = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "model-card.md": _CARDS[-1].relative_to(ROOT).as_posix(),
    "notice.md": "NOTICE",
}
"""Pages of the site by the file that they are made of."""
_LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]+`)", re.DOTALL | re.MULTILINE)


class _ShallowLists(Extension):
    """What belongs to an entry of a list is indented by three letters, as on GitHub, not by four."""

    def extendMarkdown(self, md: Markdown) -> None:
        md.tab_length = 3


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.markdown_extensions.append(_ShallowLists())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and pictures that lie outside docs/."""
    for page, source in OUTSIDE.items():
        text = (ROOT / source).read_text("utf-8")
        if not source.endswith(".md"):
            text = f"# {source}\n\n```text\n{text}\n```\n"
        files.append(File.generated(config, page, content=text))
    for page in files.documentation_pages():
        for target in _targets(page):
            if target.suffix in (".png", ".jpg") and not target.is_relative_to(ROOT / "docs"):
                name = f"files/{target.relative_to(ROOT).as_posix()}"
                if name not in files.src_uris:
                    files.append(File.generated(config, name, abs_src_path=str(target)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a page into those of the site. What does not exist stays, and stops the build."""

    def turned(match: re.Match[str]) -> str:
        target = (_folder(page.file) / match[1]).resolve()
        name = _name(target)
        if name in files.src_uris:
            return get_relative_url(name, page.file.src_uri) + (match[2] or "")
        if target.exists() and target.is_relative_to(ROOT):
            return f"{config.repo_url}/blob/main/{quote(target.relative_to(ROOT).as_posix())}"
        return match[0]

    return "".join(part if code else _LINK.sub(turned, part) for code, part in _parts(markdown))


def _parts(markdown: str) -> list[tuple[bool, str]]:
    """The text in pieces, and whether each is code."""
    return [(bool(number % 2), part) for number, part in enumerate(_CODE.split(markdown))]


def _folder(file: File) -> Path:
    """Where the links of a page start."""
    return (ROOT / OUTSIDE.get(file.src_uri, f"docs/{file.src_uri}")).parent


def _name(target: Path) -> str:
    """Of a file of the repository in the site, if it is there."""
    pages: dict[Path, Any] = {ROOT / source: page for page, source in OUTSIDE.items()}
    if target in pages:
        return str(pages[target])
    if target.is_relative_to(ROOT / "docs"):
        return target.relative_to(ROOT / "docs").as_posix()
    return f"files/{target.relative_to(ROOT).as_posix()}" if target.is_relative_to(ROOT) else ""


def _targets(file: File) -> list[Path]:
    """The files that a page links to."""
    text = "".join(part for code, part in _parts(file.content_string) if not code)
    return [path for match in _LINK.finditer(text) if (path := (_folder(file) / match[1]).resolve()).is_file()]
