"""Tables of scans whose enhancing tissue is known, for tests."""

import csv

import numpy as np
import phantoms
import SimpleITK as sitk

SIZE, PIXELS = (120, 128, 14), (1.6, 1.6, 5.0)


def write_scans(folder, *names, labels=False, empty=False, source=None):
    """A table of heads with an enhancing ring, whose mask is exact."""
    folder.mkdir(exist_ok=True)
    rows = []
    for number, name in enumerate(names):
        image = phantoms.head(SIZE, PIXELS, center=phantoms.GTV_CENTER)
        noise = np.random.default_rng(number).normal(0, 15, sitk.GetArrayViewFromImage(image).shape)
        noisy = sitk.GetImageFromArray((sitk.GetArrayFromImage(image) + noise).clip(0).astype(np.int16))
        noisy.CopyInformation(image)
        gtv = phantoms.gtv(SIZE, PIXELS, center=phantoms.GTV_CENTER)
        cavity = phantoms.gtv(SIZE, PIXELS, center=phantoms.GTV_CENTER, radius_mm=7.0)
        ring = (gtv - cavity) * (4 if labels else 1)
        paths = {what: folder / f"{name}_{what}.nii.gz" for what in ("image", "gtv", "mask")}
        for what, volume in {"image": noisy, "gtv": gtv, "mask": ring * 0 if empty else ring + cavity * labels}.items():
            sitk.WriteImage(volume, str(paths[what]))
        rows.append({"id": name, **paths, **({"label": 4} if labels else {}), **({"source": source} if source else {})})
    table = folder / "scans.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return table
