"""Offers the bundled real case in the Sample Data module; it is read from local files, nothing is downloaded."""

from pathlib import Path

from ..common.Translation import tr as _

CATEGORY = "GBMResponse"
SAMPLE = "GBMResponseBTP05"
_FILES = (
    (
        "btp05_pre_t1gd.nii.gz",
        "BTP05 pre T1-Gd",
        "VolumeFile",
        "SHA256:26a888e24ee0a377ce777e95652cc54806e8d43004cac1f518d9ab212dc6f84f",
    ),
    (
        "btp05_pre_gtv.nii.gz",
        "BTP05 GTV",
        "SegmentationFile",
        "SHA256:b384bc22eb6aa59f5ae7c397a5ffd16a6de580bdda03b25df46de8f3a7e67ce9",
    ),
    (
        "btp05_post_t1gd.nii.gz",
        "BTP05 follow-up T1-Gd",
        "VolumeFile",
        "SHA256:341893c893519ec94c1a975f8ac7149126945164d1938d56a538461900e90630",
    ),
)


def registerSampleData(resourcesFolder: Path) -> None:
    """Register the case. Its source and license are in Resources/SampleData/README.md."""
    import SampleData

    logic = SampleData.SampleDataLogic
    logic.registerCustomSampleDataCategory(CATEGORY, title=_("GBM Response"))
    folder = Path(resourcesFolder) / "SampleData"
    names, nodeNames, types, checksums = zip(*_FILES, strict=True)
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE,
        uris=[(folder / name).as_uri() for name in names],
        fileNames=list(names),
        nodeNames=list(nodeNames),
        loadFileTypes=list(types),
        checksums=list(checksums),
        thumbnailFileName=str(Path(resourcesFolder) / "Icons" / f"{SAMPLE}.png"),
    )
