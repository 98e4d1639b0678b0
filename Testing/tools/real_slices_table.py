"""Tables for `gbmresponse-train import` of the six Brain-Tumor-Progression cases (TCIA, CC BY 3.0).

    real_slices_table.py SRC OUT

SRC holds 01 to 06, each with `pre_t1gd.nii.gz`, `post_t1gd.nii.gz`, and what enhances in them, `pre_tumour.nii.gz` and
`post_tumour.nii.gz`. OUT gets five tables:

whole_heads.csv  for `import heads`, both images of cases 01-04: extra images from which the image autoencoder of the
                 shipped bundle learns scanner data.
seen.csv         cases 01-04 with their tumor.
unseen.csv       cases 05 and 06 with their tumor: no network is trained or tuned on them.
all.csv          all six with their tumor, for `gbmresponse-train realism`.
scans.csv        both images of cases 01-04 with what enhances in them, for `gbmresponse-train segmenter`, beside a
                 contour of before treatment that is made of the mask, as that of the sample case.

Survival and interval are left out.
"""

import sys
from pathlib import Path

import SimpleITK as sitk
from GBMResponseCore.files import write_csv, write_image
from GBMResponseCore.inputs.resampling import image_like
from make_sample_case import contour_from_enhancement

SET = "Brain-Tumor-Progression 01 to 04"
SEEN, UNSEEN = ("01", "02", "03", "04"), ("05", "06")
COLUMNS = ("patient", "pre", "post", "gtv", "survival_days")
TIMES = ("pre_t1gd.nii.gz", "post_t1gd.nii.gz")


def main(source: Path, out: Path) -> None:
    """Write the tables."""
    out.mkdir(parents=True, exist_ok=True)
    folders = {case: (source / case).resolve() for case in SEEN + UNSEEN}
    for name, cases in {"seen": SEEN, "unseen": UNSEEN, "all": SEEN + UNSEEN}.items():
        files = (*TIMES, "pre_tumour.nii.gz")
        rows = [[f"BTP-{case}", *(folders[case] / file for file in files), None] for case in cases]
        write_csv(COLUMNS, rows, out / f"{name}.csv")
    heads = [(f"BTP-{case}", folders[case] / time) for case in SEEN for time in TIMES]
    write_csv(("patient", "image"), heads, out / "whole_heads.csv")
    scans = []
    for case in SEEN:
        mask = sitk.ReadImage(str(folders[case] / "pre_tumour.nii.gz"))
        contour = image_like(mask, contour_from_enhancement(sitk.GetArrayViewFromImage(mask)))
        gtv = write_image(contour, out.resolve() / f"{case}_contour.nii.gz")
        scans += [
            (f"{case} {when}", folders[case] / f"{when}_t1gd.nii.gz", gtv, folders[case] / f"{when}_tumour.nii.gz", SET)
            for when in ("pre", "post")
        ]
    write_csv(("id", "image", "gtv", "mask", "source"), scans, out / "scans.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
