"""The readme of the package's page: that of the repository, whose links lead into the repository there."""

import re
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
FILES = "https://github.com/GBMResponse/SlicerGBMResponse/blob/main/"
PICTURES = "https://raw.githubusercontent.com/GBMResponse/SlicerGBMResponse/main/"


def readme() -> str:
    """Text with absolute links."""
    text = (ROOT / "README.md").read_text("utf-8")
    text = re.sub(r"(!\[[^\]]*\]\()(?!\w+:)", rf"\1{PICTURES}", text)
    return re.sub(r"(?<!!)(\[[^\]]*\]\()(?!\w+:|#)", rf"\1{FILES}", text)


setup(long_description=readme(), long_description_content_type="text/markdown")
