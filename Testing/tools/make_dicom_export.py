"""Write the bundled sample case as a hospital has it: a DICOM series of MR slices and an RTSTRUCT drawn on it.

    python Testing/tools/make_dicom_export.py FOLDER

The scan is real and public (GBMResponse/Resources/SampleData/README.md); patient, study and dates are made up.
"""

import sys
from pathlib import Path

TESTING = Path(__file__).resolve().parents[1]
SAMPLE = TESTING.parent / "GBMResponse" / "Resources" / "SampleData"


def main(folder: Path) -> None:
    """Write the export; the folder is created."""
    sys.path[:0] = [str(TESTING), str(TESTING.parent / "GBMResponse")]
    import SimpleITK as sitk
    from fake_dicom import write_series, write_structures
    from GBMResponseCore.dicom.series import read_series
    from GBMResponseCore.dicom.source import read_source
    from GBMResponseCore.dicom.structures_writer import contours_lps
    from GBMResponseCore.dicom.tree import scan_tree

    image = sitk.ReadImage(SAMPLE / "btp05_pre_t1gd.nii.gz")
    gtv = sitk.ReadImage(SAMPLE / "btp05_pre_gtv.nii.gz")
    header = write_series(folder / "t1_gd", image, patient="SAMPLE-05", ContrastBolusAgent="Gadolinium")
    source = read_source(scan_tree(folder / "t1_gd").series[0])
    mask = sitk.Resample(gtv, read_series(source.series), sitk.Transform(), sitk.sitkNearestNeighbor)
    write_structures(folder / "RS.dcm", header, {"GTV": [points for points, _ in contours_lps(source, mask)]})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
