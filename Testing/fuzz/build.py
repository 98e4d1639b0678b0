"""Files from recipes. What is not in the recipe is made in code, so that a recipe always gives the same input."""

import gzip
import hashlib
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import phantoms
import SimpleITK as sitk

Recipe = dict[str, Any]

_PIXELS = {
    "uint8": sitk.sitkUInt8, "int16": sitk.sitkInt16, "uint16": sitk.sitkUInt16, "int32": sitk.sitkInt32,
    "float32": sitk.sitkFloat32, "float64": sitk.sitkFloat64,
}  # fmt: skip
_NAMES = {
    "nifti": "{}.nii", "nifti-gz": "{}.nii.gz", "nrrd": "{}.nrrd", "nrrd-gz": "{}.gz.nrrd", "mha": "{}.mha",
    "nifti-pair": "{}.hdr", "mhd": "{}.mhd",
}  # fmt: skip
_SMALL = ((40, 40, 6), (1.5, 1.5, 6.0))
"""Grid of the images that are damaged: around the GTV."""


def geometry_case(recipe: Recipe, folder: Path) -> tuple[Path, Path, np.ndarray]:
    """Write image and GTV of a well-formed case; also returns where the GTV's center is, LPS mm."""
    world = np.asarray(recipe["world_mm"], float)
    center = np.asarray(phantoms.GTV_CENTER) + world
    image = _on_grid(recipe["grid"], world)
    head = _head_on(image, world)
    head = _with_intensity(head, recipe["intensity"], recipe["seed"])
    mask = recipe["mask"]
    grid = image if mask["own_grid"] is None else _on_grid(mask["own_grid"], world)
    gtv = _ball_on(grid, center, mask)
    paths = folder / f"image{recipe['format']}", folder / f"gtv{recipe['gtv_format']}"
    sitk.WriteImage(head, str(paths[0]), useCompression=True)
    sitk.WriteImage(gtv, str(paths[1]), useCompression=True)
    return (*paths, center)


def write_corpus(folder: Path) -> None:
    """Write the sound images that are damaged afterwards, in each format."""
    size, spacing = _SMALL
    image = phantoms.head(size, spacing, center=phantoms.GTV_CENTER)
    gtv = phantoms.gtv(size, spacing, center=phantoms.GTV_CENTER)
    for name, volume in {"image": image, "gtv": gtv, "follow_up": image + 9}.items():
        for pattern in _NAMES.values():
            path = folder / pattern.format(name)
            sitk.WriteImage(volume, str(path), useCompression="gz" in path.name)


def damaged_case(recipe: Recipe, corpus: Path, folder: Path) -> dict[str, Path]:
    """Copy a case of the corpus and damage one of its files."""
    paths = {}
    for name in ("image", "gtv", *(["follow_up"] if recipe["which"] == "follow_up" else [])):
        kind = recipe["file"] if name == recipe["which"] else "nrrd"
        path = folder / _NAMES[kind].format(name)
        for source in [corpus / path.name, *(corpus.glob(f"{name}.img") if path.suffix == ".hdr" else ()),
                       *(corpus.glob(f"{name}.raw") if path.suffix == ".mhd" else ())]:  # fmt: skip
            (folder / source.name).write_bytes(source.read_bytes())
        paths[name] = path
    target = paths[recipe["which"]]
    content = target.read_bytes()
    packed = target.name.endswith(".nii.gz") and recipe["repack"]
    content = edited(gzip.decompress(content) if packed else content, recipe["edits"])
    target.write_bytes(gzip.compress(content, 1) if packed else content)
    return paths


def edited(content: bytes, edits: list) -> bytes:
    """Apply the edits of a recipe to a file's content."""
    for kind, where, what in edits:
        if kind in ("set", "insert", "delete", "truncate"):
            at = int(where * len(content))
        if kind == "set":
            content = content[:at] + bytes.fromhex(what) + content[at + len(what) // 2 :]
        elif kind == "set-header":
            content = content[:where] + bytes.fromhex(what) + content[where + len(what) // 2 :]
        elif kind == "insert":
            content = content[:at] + bytes.fromhex(what) + content[at:]
        elif kind == "delete":
            content = content[:at] + content[at + what :]
        elif kind == "truncate":
            content = content[:at]
        elif kind == "append":
            content += bytes.fromhex(what)
        elif kind == "field":
            content = _with_field(content, *where, what)
        elif kind in ("line", "add-line"):
            content = _with_line(content, where, what, replace=kind == "line")
    return content


def damaged_bundle(recipe: Recipe, sound: Path, folder: Path) -> Path:
    """Copy a bundle and damage one of its files; with `right_hash`, bundle.json then describes the damaged file."""
    bundle = folder / "bundle"
    for source in sorted(path for path in sound.rglob("*") if path.is_file()):
        target = bundle / source.relative_to(sound)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".safetensors" and source.relative_to(sound).as_posix() != recipe["file"]:
            target.hardlink_to(source)
        else:
            target.write_bytes(source.read_bytes())
    path = bundle / recipe["file"]
    if "values" in recipe:
        content = json.loads(path.read_text("utf-8"))
        for action, number, value in recipe["values"]:
            content = _with_value(content, action, number, value)
        text = json.dumps(content)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    else:
        path.write_bytes(edited(path.read_bytes(), recipe["edits"]))
    if recipe["right_hash"] and recipe["file"] != "bundle.json":
        description = json.loads((bundle / "bundle.json").read_text("utf-8"))
        content = path.read_bytes()
        description["files"][recipe["file"]] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (bundle / "bundle.json").write_text(json.dumps(description), "utf-8")
    return bundle


def write_dicom_cohort(folder: Path) -> None:
    """Write an export of two patients, P1 and P2, and its table."""
    from fake_dicom import ball_contours, write_series, write_structures

    image = phantoms.head((40, 46, 8), (4.4, 4.4, 11.0))
    for name in ("P1", "P2"):
        series = {"patient": name, "description": "T1 MPRAGE +C"}
        pre = write_series(folder / "export" / name / "pre", image, date="20200110", **series)
        write_series(folder / "export" / name / "post", image + 4, date="20200510", **series, number=8)
        circles = ball_contours(image, phantoms.GTV_CENTER, 20)
        write_structures(folder / "export" / name / "RS.dcm", pre, {"GTV": circles})
    (folder / "patients.csv").write_text("patient,survival_days\nP1,400\nP2,300\n", "utf-8")


def damage_dicom(recipe: Recipe, export: Path) -> None:
    """Damage one file of patient P2."""
    import pydicom

    files = sorted(path for path in (export / "P2").rglob("*") if path.is_file())
    path = files[recipe["file"] % len(files)]
    tags = [edit for edit in recipe["edits"] if edit[0] == "tag"]
    if tags:
        dataset = pydicom.dcmread(path)
        for _kind, name, value in tags:
            if value is None:
                if name in dataset:
                    delattr(dataset, name)
                continue
            try:
                setattr(dataset, name, value)
                dataset.save_as(path)
            except Exception:
                # pydicom itself refuses to write such a value: then the tag goes.
                dataset = pydicom.dcmread(path)
                if name in dataset:
                    delattr(dataset, name)
        dataset.save_as(path)
    path.write_bytes(edited(path.read_bytes(), [edit for edit in recipe["edits"] if edit[0] != "tag"]))


def table_bytes(recipe: Recipe) -> bytes:
    """A table as a spreadsheet or a careless script writes it."""

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if recipe["quote"] else text

    rows = [recipe["separator"].join(map(cell, row)) for row in [recipe["header"], *recipe["rows"]]]
    text = recipe["first_line"] + recipe["ending"].join(rows) + recipe["ending"]
    return edited(text.encode(recipe["encoding"], "replace"), recipe["edits"])


def line_bytes(recipe: Recipe, folder: Path, number: int) -> bytes:
    """One line for the worker. Its files do not exist unless the recipe names some, so nothing is predicted."""
    if "raw" in recipe:
        return bytes.fromhex(recipe["raw"]).replace(b"\n", b" ")
    message: dict[str, Any] = {"type": "predict", "id": f"input {number}"}
    message |= {name: str(folder / name) for name in ("image", "gtv", "out")}
    if "nested" in recipe:
        nested = "[" * recipe["nested"] + "]" * recipe["nested"]
        if recipe["where"] == "line":
            return nested.encode()
        return json.dumps(message | {recipe["where"]: "@"}).replace('"@"', nested).encode()
    message = message | {"type": recipe["type"]} | recipe["fields"]
    if isinstance(message.get("out"), str):
        message["out"] = str(folder / "out")  # whatever it says, nothing is written elsewhere
    if message["type"] == "shutdown":
        message["type"] = "predict"
    return json.dumps(message).encode("utf-8", "surrogatepass").replace(b"\n", b" ")


def _on_grid(grid: Recipe, world: np.ndarray) -> sitk.Image:
    """An empty volume of a grid recipe around the GTV, int16."""
    axes = np.eye(3)[:, list(grid["permute"])] * np.where(grid["flip"], -1.0, 1.0)
    for axis, angle in zip("xyz", grid["angles"], strict=True):
        axes = phantoms.rotation(axis, angle) @ axes
    size = np.asarray(grid["size"])
    spacing = np.asarray(grid["field_mm"]) / size
    middle = np.asarray(phantoms.GTV_CENTER) + world + np.asarray(grid["shift_mm"])
    return phantoms.empty(size, spacing, _orthonormal(axes), middle)


def _orthonormal(axes: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(axes)
    return left @ right


def _moved(image: sitk.Image, world: np.ndarray) -> sitk.Image:
    """The image as seen from the phantom, whose head is at 0."""
    moved = sitk.Image(image)
    moved.SetOrigin((np.asarray(image.GetOrigin()) - world).tolist())
    return moved


def _head_on(image: sitk.Image, world: np.ndarray) -> sitk.Image:
    moved = _moved(image, world)
    direction = np.reshape(moved.GetDirection(), (3, 3))
    size, spacing = np.asarray(moved.GetSize()), np.asarray(moved.GetSpacing())
    center = np.asarray(moved.GetOrigin()) + direction @ ((size - 1) / 2 * spacing)
    head = phantoms.head(moved.GetSize(), moved.GetSpacing(), direction, center, sitk.sitkFloat32)
    head.CopyInformation(image)
    return head


def _with_intensity(head: sitk.Image, intensity: Recipe, seed: int) -> sitk.Image:
    voxels = sitk.GetArrayFromImage(head).astype(np.float64)
    random = np.random.default_rng(seed)
    voxels = np.clip(voxels * (1 + intensity["noise"] * random.standard_normal(voxels.shape)), 0, None)
    dtype = np.dtype(intensity["pixel"])
    factor = 0.25 if dtype == np.uint8 else intensity["factor"]
    if np.issubdtype(dtype, np.integer):
        factor = max(factor, 0.25)
    voxels *= factor
    if intensity["hot_voxel"]:
        voxels.flat[int(random.integers(voxels.size))] = voxels.max() * intensity["hot_voxel"]
    if intensity["padding"] is not None and dtype.kind != "u":
        voxels[:, : voxels.shape[1] // 8] = intensity["padding"]
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        voxels = np.clip(np.rint(voxels), limits.min, limits.max)
    result = sitk.GetImageFromArray(voxels.astype(dtype))
    result.CopyInformation(head)
    return result


def _ball_on(grid: sitk.Image, center: np.ndarray, mask: Recipe) -> sitk.Image:
    direction = np.reshape(grid.GetDirection(), (3, 3))
    matrix = direction * np.asarray(grid.GetSpacing())
    k, j, i = np.meshgrid(*[np.arange(n, dtype=float) for n in grid.GetSize()[::-1]], indexing="ij", sparse=True)
    points = [o + m[0] * i + m[1] * j + m[2] * k - c for o, m, c in zip(grid.GetOrigin(), matrix, center, strict=True)]
    depth = mask["radius_mm"] - np.sqrt(sum(axis**2 for axis in points))
    values = (depth >= 0) * float(mask["value"])
    if mask["soft"] and mask["pixel"] == "float32":
        values = np.clip(0.5 + depth / 2, 0, 1)
    result = sitk.GetImageFromArray(values.astype(mask["pixel"]))
    result.CopyInformation(grid)
    return result


def _with_field(content: bytes, offset: int, code: str, value: float) -> bytes:
    """Set a field of a NIfTI header, as far as the value fits its type."""
    try:
        packed = struct.pack("<" + code, float(value) if code == "f" else int(value))
    except (struct.error, OverflowError, ValueError):
        packed = struct.pack("<" + code, math.inf if code == "f" else -1) if code != "B" else b"\xff"
    return content[:offset] + packed + content[offset + len(packed) :]


def _with_line(content: bytes, key: str, value: str, replace: bool) -> bytes:
    """Replace or add a header line of NRRD (`key: value`) or MetaImage (`key = value`)."""
    separator = b" = " if b"ObjectType" in content[:64] else b": "
    line = key.encode() + separator + value.encode("utf-8", "replace")
    start = content.find(b"\n" + key.encode())
    if replace and start >= 0:
        end = content.find(b"\n", start + 1)
        return content[: start + 1] + line + (content[end:] if end >= 0 else b"")
    first = content.find(b"\n") + 1
    return content[:first] + line + b"\n" + content[first:]


def _with_value(content: Any, action: str, number: int, value: Any) -> Any:
    """Change the n-th value of a JSON document, counted over all its objects and lists."""
    places: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        current = waiting.pop()
        for key in list(current) if isinstance(current, dict) else range(len(current)):
            places.append((current, key))
            if isinstance(current[key], (dict, list)):
                waiting.append(current[key])
    if not places:
        return value
    holder, key = places[number % len(places)]
    if action == "replace":
        holder[key] = value
    elif action == "remove":
        del holder[key]
    elif isinstance(holder, dict):
        holder[f"{key}_2"] = value
    else:
        holder.append(value)
    return content
