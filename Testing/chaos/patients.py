"""A table of small simulated cases, each tenth of them broken in a way of its own."""

from pathlib import Path

import numpy as np
import phantoms
import SimpleITK as sitk

IN_PLANE, PIXEL_MM, HEIGHT_MM = (60, 64), 0.95, 48.0
HEADS = 5
"""Different patients; the cases are these again and again."""


def write_patients(folder: Path, count: int, slices: int = 6) -> Path:
    """Write the images of so many cases of so many slices, half of them with GTV; returns their table."""
    folder.mkdir(parents=True, exist_ok=True)
    size, spacing = (*IN_PLANE, slices), (PIXEL_MM, PIXEL_MM, HEIGHT_MM / slices)
    head, gtv = (make(size, spacing, center=phantoms.GTV_CENTER) for make in (phantoms.head, phantoms.gtv))
    for number in range(HEADS):
        sitk.WriteImage(head + 20 * number, str(folder / f"head{number}.nrrd"))
    sitk.WriteImage(gtv, str(folder / "gtv.nrrd"))
    broken = _write_broken(folder, head, gtv)
    lines = ["id,image,gtv"]
    for number in range(count):
        image, mask = f"head{number % HEADS}.nrrd", "gtv.nrrd"
        if number % 10 == 9:
            image, mask = broken[number // 10 % len(broken)]
        lines.append(f"case{number:05d},{image},{mask}")
    table = folder / "cases.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def _write_broken(folder: Path, head: sitk.Image, gtv: sitk.Image) -> list[tuple[str, str]]:
    """Files with which a case fails; returns image and GTV of each way."""

    def write(image: sitk.Image, name: str) -> str:
        sitk.WriteImage(image, str(folder / name))
        return name

    holes = sitk.GetArrayFromImage(sitk.Cast(head, sitk.sitkFloat32))
    holes[2, 30, 30] = np.nan
    nan = sitk.GetImageFromArray(holes)
    nan.CopyInformation(head)
    cut = (folder / "head0.nrrd").read_bytes()
    (folder / "cut.nrrd").write_bytes(cut[: len(cut) // 2])
    (folder / "empty.nrrd").touch()
    (folder / "text.nrrd").write_text("no image", "utf-8")
    good, far = "head0.nrrd", gtv * 1
    far.SetOrigin([coordinate + 900 for coordinate in gtv.GetOrigin()])
    return [
        ("missing.nrrd", "gtv.nrrd"),
        ("cut.nrrd", "gtv.nrrd"),
        ("empty.nrrd", "gtv.nrrd"),
        ("text.nrrd", "gtv.nrrd"),
        (write(nan, "nan.nrrd"), "gtv.nrrd"),
        (write(head * 0 + 7, "constant.nrrd"), "gtv.nrrd"),
        (write(head[20:45, 20:45, :], "small.nrrd"), "gtv.nrrd"),
        (good, write(gtv * 0, "nothing.nrrd")),
        (good, write(far, "far.nrrd")),
        (good, good),
    ]
