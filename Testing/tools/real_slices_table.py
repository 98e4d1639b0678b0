"""Tables for `gbmresponse-train import folder` of the six Brain-Tumor-Progression cases (TCIA, CC BY 3.0).

    real_slices_table.py SRC OUT

SRC holds 01 to 06, each with `pre_t1gd.nii.gz`, `post_t1gd.nii.gz` and `pre_tumour.nii.gz`. OUT gets four tables:

whole_heads.csv  cases 01-04 with the whole head as "GTV", so that every slice is imported: the extra images from which
                 the image autoencoder of the shipped bundle learns scanner data. Never a store for evaluation.
seen.csv         cases 01-04 with their tumor.
unseen.csv       cases 05 and 06 with their tumor: no network is trained or tuned on them.
all.csv          all six with their tumor, for `gbmresponse-train realism`.

Survival and interval are left out.
"""

import sys
from pathlib import Path

import SimpleITK as sitk
from GBMResponseCore.files import write_csv

SEEN, UNSEEN = ("01", "02", "03", "04"), ("05", "06")
COLUMNS = ("patient", "pre", "post", "gtv", "survival_days")
SMALLEST_SHARE = 0.12
"""Of a slice's pixels that lie in the head; slices with less are left out."""


def head_mask(path: Path) -> sitk.Image:
    """Otsu's head mask of an image, without the slices that hardly meet the head."""
    image = sitk.ReadImage(str(path), sitk.sitkFloat32)
    mask = sitk.BinaryFillhole(sitk.BinaryMorphologicalClosing(sitk.OtsuThreshold(image, 0, 1, 128), (2, 2, 1)))
    voxels = sitk.GetArrayFromImage(mask)
    voxels[voxels.mean(axis=(1, 2)) < SMALLEST_SHARE] = 0
    result = sitk.GetImageFromArray(voxels)
    result.CopyInformation(image)
    return result


def main(source: Path, out: Path) -> None:
    """Write the masks and the tables."""
    out.mkdir(parents=True, exist_ok=True)
    for case in SEEN:
        sitk.WriteImage(head_mask(source / case / "pre_t1gd.nii.gz"), str(out / f"{case}_head.nii.gz"))
    tables = {"whole_heads": SEEN, "seen": SEEN, "unseen": UNSEEN, "all": SEEN + UNSEEN}
    for name, cases in tables.items():
        rows = []
        for case in cases:
            folder = (source / case).resolve()
            mask = (out / f"{case}_head.nii.gz").resolve() if name == "whole_heads" else folder / "pre_tumour.nii.gz"
            images = (folder / "pre_t1gd.nii.gz", folder / "post_t1gd.nii.gz")
            rows.append([f"BTP-{case}", *images, mask, None])
        write_csv(COLUMNS, rows, out / f"{name}.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
