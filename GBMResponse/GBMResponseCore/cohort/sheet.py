"""A cohort at one glance: an HTML page with a row and a thumbnail for each case, and the thumbnails as PNG pages.

The page loads nothing; the one script in it sorts its table and is named by its hash in the page's own policy.
"""

import hashlib
import io
import json
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image, ImageDraw

from .. import SYNTHETIC_NOTICE
from ..errors import GBMResponseError, RunFolderError
from ..files import write_bytes, write_text
from ..inputs.reading import read_volume
from ..measure.guard import NOTE
from ..outputs import report
from ..outputs.picture import png, stamped, text_font, with_contour
from ..outputs.read import read_records
from ..request import FORMATS
from .status import DONE, FAILED, STATUS, read_status

PAGE, SHEET = "cohort.html", "contact_sheet_{:02d}.png"
_THUMBNAIL = 120
_ACROSS, _DOWN = 4, 8
_LINE = 16
_QUALITY = 80
_ORDER = {"red": 2, "yellow": 1, "green": 0}
_SCRIPT = """
document.querySelectorAll("th").forEach((head, column) => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0], up = head.dataset.up !== "1";
  head.dataset.up = up ? "1" : "0";
  const key = row => row.cells[column].dataset.sort ?? row.cells[column].textContent;
  const rank = (a, b) => a === "" || b === "" ? (a === "") - (b === "")
    : (up ? 1 : -1) * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  [...body.rows].sort((a, b) => rank(key(a), key(b))).forEach(row => body.append(row));
}));
"""


def write_sheets(out: Path) -> list[Path]:
    """Write the page and the PNG pages of a cohort's folder; returns the files.

    :raises RunFolderError: the folder holds no cases.
    :raises OutputFolderError: they cannot be written.
    """
    folders = sorted(path.parent for path in out.glob(f"*/{STATUS}"))
    if not folders:
        raise RunFolderError(f"The folder {out.name!r} holds no cohort.", "Name the output folder of a cohort.")
    rows = [_row(folder) for folder in folders]
    shown = [row for row in rows if row["picture"] is not None]
    files = []
    for start in range(0, len(shown), _ACROSS * _DOWN):
        name = SHEET.format(start // (_ACROSS * _DOWN) + 1)
        files.append(write_bytes(png(_sheet(shown[start : start + _ACROSS * _DOWN])), out / name))
    for row in rows:
        row["thumbnail"] = "" if row["picture"] is None else _embedded(row["picture"])
    environment = Environment(
        loader=FileSystemLoader(Path(report.__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    digest = b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    page = environment.get_template("cohort.html").render(
        notice=SYNTHETIC_NOTICE, rows=rows, counts=_counts(rows), failures=_failures(rows), script=_SCRIPT, hash=digest
    )
    return [write_text(page, out / PAGE), *files]


def _row(folder: Path) -> dict[str, Any]:
    """What is said of a case; cells that are not known are empty."""
    status = read_status(folder)
    row: dict[str, Any] = {"id": folder.name, "picture": None, "link": ""}
    row |= {"status": status["status"], "seconds": status.get("seconds", ""), "classes": status.get("classes", "")}
    row |= {"code": status.get("error_code", ""), "message": status.get("message", ""), "remedy": ""}
    row |= {"color": "", "findings": [], "volume": "", "change": "", "skill": "", "rival": "", "made": None}
    if status["status"] == FAILED:
        return row | {"remedy": status["remedy"]}
    try:
        records = read_records(folder)
    except RunFolderError:
        return row
    name, record = next(iter(records.items()))
    notes = [note["sentence"] for note in record.get("warnings", ()) if note["code"] != NOTE]
    unusual = " ".join(note["sentence"] for note in record.get("warnings", ()) if note["code"] == NOTE)
    color = re.search(r"\((red|yellow)\)", unusual)
    judged = (_object(folder / "report.json").get("guard") or {}).get("color") or (color[1] if color else "")
    measured = _object(folder / "measurements.json").get("classes", {}).get(name, {})
    row |= {"color": judged, "color_rank": _ORDER.get(judged, ""), "findings": [unusual, *notes] if unusual else notes}
    row |= {"volume": record.get("gtv_volume_ml", ""), "change": _change(measured), "made": record.get("created_utc")}
    row |= _skill(measured.get("score") or {})
    link = next((file for file in ("report.html", "montage.png") if (folder / file).is_file()), "")
    row["link"] = f"{folder.name}/{link}" if link else ""
    try:
        row["picture"] = _picture(folder / name if len(records) > 1 else folder, record["files"])
    except (GBMResponseError, RuntimeError, StopIteration):
        row["findings"] = [*row["findings"], "Its volumes cannot be read."]
    return row


def _change(measured: Mapping[str, Any]) -> float | str:
    """Mean change of the enhancing volume over the samples, in percent."""
    changes = [sample.get("volume_change") for sample in measured.get("per_sample") or ()]
    known = [change for change in changes if change is not None]
    return round(100 * sum(known) / len(known), 1) if known else ""


def _skill(score: Mapping[str, Any]) -> dict[str, Any]:
    """How much smaller the error in the GTV is than that of the best trivial forecast, and which that is."""
    errors = {who: values.get("mean_absolute_difference_gtv") for who, values in score.items()}
    own = errors.pop("prediction", None)
    rivals = {who: error for who, error in errors.items() if error}
    if own is None or not rivals:
        return {}
    best = min(rivals, key=lambda who: rivals[who])
    return {"skill": round(1 - own / rivals[best], 3), "rival": best.replace("_", " ")}


def _picture(folder: Path, files: Sequence[str]) -> np.ndarray:
    """Expected image and sample side by side, uint8 (h, w, 3), in the axial slice with the largest generated region."""

    def read(name: str) -> np.ndarray:
        file = next(name + suffix for suffix in FORMATS if name + suffix in files)
        return sitk.GetArrayFromImage(sitk.DICOMOrient(read_volume(folder / file, name).image, "LPS"))

    mask = read("generated_mask") > 0
    place = int(mask.sum(axis=(1, 2)).argmax())
    tiles = []
    for name in ("expected", "predicted"):
        volume = read(name).astype(np.float32)
        low, high = np.percentile(volume, (2, 99.5))
        gray = np.clip((volume[place] - low) / max(high - low, 1e-6), 0, 1) * 255
        tile = Image.fromarray(with_contour(gray.astype(np.uint8), mask[place])).resize((_THUMBNAIL, _THUMBNAIL))
        tiles.append(stamped(np.asarray(tile)))
    return np.concatenate(tiles, axis=1)


def _sheet(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    width, height = 2 * _THUMBNAIL + 8, _THUMBNAIL + _LINE + 4
    page = Image.new("RGB", (_ACROSS * width, -(-len(rows) // _ACROSS) * height + _LINE + 4))
    draw, font = ImageDraw.Draw(page), text_font(11)
    for number, row in enumerate(rows):
        left, top = number % _ACROSS * width, number // _ACROSS * height
        draw.text((left + 2, top + 2), row["id"][:36], (255, 255, 255), font)
        page.paste(Image.fromarray(row["picture"]), (left, top + _LINE))
    draw.text((2, page.height - _LINE), f"Expected, sample. {SYNTHETIC_NOTICE}", (255, 165, 0), font)
    return page


def _counts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """How many cases, and how fast."""
    done = [row for row in rows if row["status"] == DONE]
    words = [f"{len(rows)} cases: {len(done)} done, {len(rows) - len(done)} not."]
    seconds = [row["seconds"] for row in done if row["seconds"] != ""]
    if seconds:
        words.append(f"A case took {np.median(seconds):.1f} s (median; {min(seconds):.1f} to {max(seconds):.1f} s).")
    made = sorted(datetime.fromisoformat(row["made"]) for row in done if row["made"])
    hours = (made[-1] - made[0]).total_seconds() / 3600 if len(made) > 1 else 0
    if hours:
        words.append(f"Throughput: {(len(made) - 1) / hours:.0f} cases per hour, from the first result to the last.")
    return words


def _failures(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, str, str, str]]:
    """Count, code, an example and remedy of each kind of failure, the most frequent first."""
    failed = [row for row in rows if row["status"] == FAILED]
    groups = Counter(row["code"] for row in failed).most_common()
    found = []
    for code, count in groups:
        example = next(row for row in failed if row["code"] == code)
        found.append((count, code, f"{example['id']}: {example['message']}", example["remedy"]))
    return found


def _embedded(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode()}"


def _object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
