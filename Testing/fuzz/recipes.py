"""What inputs are made of: hypothesis strategies for recipes, plain JSON values from which `build` makes files.

A recipe is all there is to an input, so a finding is repeated from the line that is printed of it.
"""

import string
from typing import Any

from hypothesis import strategies as st

Recipe = dict[str, Any]

FORMATS = (".nii.gz", ".nii", ".nrrd", ".mha")
IMAGE_KINDS = ("nifti", "nifti-gz", "nrrd", "nrrd-gz", "mha", "nifti-pair", "mhd")
_EXTREMES = (0, 1, -1, 2, 255, 32767, -32768, 65535, 2**31 - 1, -(2**31), 2**63 - 1, 10**9, 10**400)
_EXTREME_FLOATS = (0.0, -0.0, 1e-45, 1e-6, -1.0, 1e6, 1e20, 3e38, float("nan"), float("inf"), float("-inf"))
_ODD_TEXT = (
    "",
    " ",
    "0",
    "-1",
    "nan",
    "inf",
    "1e999",
    "0x10",
    "9" * 400,
    "x" * 5000,
    "(1,0,0) (0,1,0)",
    "\0",
    "ä",
    "../x",
)

_numbers = st.one_of(st.integers(-3, 300), st.sampled_from(_EXTREMES), st.sampled_from(_EXTREME_FLOATS), st.floats())
_json_leaves = st.one_of(st.none(), st.booleans(), _numbers, st.sampled_from(_ODD_TEXT), st.text(max_size=20))
_json = st.recursive(
    _json_leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)

# Well-formed cases: every grid shows the same head, so it is known where the GTV must be.

_angles = st.tuples(*[st.one_of(st.sampled_from((0.0, 90.0, 180.0, 270.0)), st.floats(-30, 30))] * 3)
_grid = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(36, 64), st.integers(36, 64), st.integers(5, 18)),
        "permute": st.permutations((0, 1, 2)),
        "flip": st.tuples(st.booleans(), st.booleans(), st.booleans()),
        "angles": _angles,
        "field_mm": st.tuples(*[st.floats(60, 260)] * 2, st.floats(40, 200)),
        "shift_mm": st.tuples(*[st.floats(-8, 8)] * 3),
    }
)
_world = st.tuples(*[st.one_of(st.just(0.0), st.floats(-500, 500))] * 3)
_intensity = st.fixed_dictionaries(
    {
        "pixel": st.sampled_from(("uint8", "int16", "uint16", "int32", "float32", "float64")),
        "factor": st.sampled_from((0.001, 0.25, 1.0, 20.0)),
        "noise": st.sampled_from((0.0, 0.02, 0.2)),
        "hot_voxel": st.sampled_from((None, 30.0, 1e6)),
        "padding": st.sampled_from((None, -1024, -32768)),
    }
)
_mask = st.fixed_dictionaries(
    {
        "radius_mm": st.floats(9, 25),
        "value": st.sampled_from((1, 1, 4, 255)),
        "pixel": st.sampled_from(("uint8", "int16", "float32")),
        "soft": st.booleans(),
        "own_grid": st.one_of(st.none(), _grid),
    }
)
geometries = st.fixed_dictionaries(
    {
        "kind": st.just("geometry"),
        "format": st.sampled_from(FORMATS),
        "gtv_format": st.sampled_from(FORMATS),
        "grid": _grid,
        "world_mm": _world,
        "intensity": _intensity,
        "mask": _mask,
        "seed": st.integers(0, 999),
    }
)

# Damaged files.

_positions = st.floats(0, 1, exclude_max=True)
_header_positions = st.integers(0, 400)
_bytes = st.binary(min_size=1, max_size=8).map(bytes.hex)
_edit = st.one_of(
    st.tuples(st.just("set"), _positions, _bytes),
    st.tuples(st.just("set-header"), _header_positions, _bytes),
    st.tuples(st.just("insert"), _positions, _bytes),
    st.tuples(st.just("delete"), _positions, st.integers(1, 4000)),
    st.tuples(st.just("truncate"), _positions, st.none()),
    st.tuples(st.just("append"), st.none(), st.binary(min_size=1, max_size=600).map(bytes.hex)),
)
_NIFTI_FIELDS = (
    # offset, struct code
    (0, "i"), (39, "b"), *((40 + 2 * k, "h") for k in range(8)), (70, "h"), (72, "h"), (76, "f"), (80, "f"), (84, "f"),
    (88, "f"), (108, "f"), (112, "f"), (116, "f"), (123, "B"), (252, "h"), (254, "h"),
    *((256 + 4 * k, "f") for k in range(18)), (344, "i"), (348, "i"), (352, "i"),
)  # fmt: skip
_nifti_edit = st.sampled_from(_NIFTI_FIELDS).flatmap(
    lambda field: st.tuples(
        st.just("field"), st.just(field), st.one_of(_numbers, st.sampled_from(_EXTREMES + _EXTREME_FLOATS))
    )
)
_HEADER_KEYS = (
    "NRRD0004", "type", "dimension", "space", "sizes", "space directions", "kinds", "endian", "encoding",
    "space origin", "space units", "data file", "byte skip", "line skip", "measurement frame", "spacings",
    "ObjectType", "NDims", "BinaryData", "BinaryDataByteOrderMSB",
    "CompressedData", "CompressedDataSize", "TransformMatrix", "Offset",
    "CenterOfRotation", "AnatomicalOrientation", "ElementSpacing", "DimSize", "ElementType", "HeaderSize",
    "ElementNumberOfChannels", "ElementDataFile", "Comment",
)  # fmt: skip
_line_edit = st.tuples(
    st.sampled_from(("line", "add-line")),
    st.sampled_from(_HEADER_KEYS),
    st.one_of(
        _numbers.map(str),
        st.lists(_numbers, min_size=1, max_size=12).map(lambda entries: " ".join(map(str, entries))),
        st.tuples(st.sampled_from("x,1 -"), st.sampled_from((300, 1100, 5000, 100_000))).map(lambda p: p[0] * p[1]),
        st.sampled_from(_ODD_TEXT),
        st.text(string.printable, max_size=60),
        st.sampled_from(
            ("LOCAL", "LIST", "/etc/hostname", "..", "gtv.raw", "NRRD0005", "double", "gzip", "bzip2", "raw")
        ),
    ),
)
damaged_images = st.fixed_dictionaries(
    {
        "kind": st.just("image"),
        "file": st.sampled_from(IMAGE_KINDS),
        "which": st.sampled_from(("image", "image", "gtv", "follow_up")),
        "edits": st.lists(st.one_of(_edit, _nifti_edit, _line_edit), min_size=1, max_size=3),
        "repack": st.booleans(),
    }
)

_BUNDLE_FILES = (
    "bundle.json", "image_autoencoder/config.json", "gtv_autoencoder/config.json", "denoiser/config.json",
    "classifier/config.json", "scheduler/scheduler_config.json",
)  # fmt: skip
_WEIGHTS = tuple(
    f"{part}/diffusion_pytorch_model.safetensors"
    for part in ("image_autoencoder", "gtv_autoencoder", "denoiser", "classifier")
)
damaged_bundles = st.one_of(
    st.fixed_dictionaries(
        {
            "kind": st.just("bundle"),
            "file": st.sampled_from(_BUNDLE_FILES),
            # The n-th value of the document is replaced, taken away or doubled.
            "values": st.lists(
                st.tuples(st.sampled_from(("replace", "replace", "remove", "add")), st.integers(0, 400), _json),
                min_size=1,
                max_size=2,
            ),
            "right_hash": st.sampled_from((True, True, True, False)),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("bundle"),
            "file": st.sampled_from(_BUNDLE_FILES + _WEIGHTS),
            "edits": st.lists(_edit, min_size=1, max_size=3),
            "right_hash": st.sampled_from((True, True, False)),
        }
    ),
)
damaged_dicom = st.fixed_dictionaries(
    {
        "kind": st.just("dicom"),
        "file": st.integers(0, 99),
        "edits": st.lists(
            st.one_of(
                _edit,
                st.tuples(
                    st.just("tag"), st.sampled_from((
                        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns",
                        "BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel", "SeriesInstanceUID",
                        "StudyDate", "FrameOfReferenceUID", "PatientID", "Modality", "SeriesDescription",
                        "SliceThickness", "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept",
                        "InstanceNumber", "SOPClassUID",
                        "StructureSetROISequence", "ROIContourSequence", "ReferencedFrameOfReferenceSequence",
                        "StructureSetDate", "NumberOfFrames", "PixelData",
                    )),
                    st.one_of(st.none(), _numbers.map(str), st.sampled_from(_ODD_TEXT)),
                ),
            ),
            min_size=1, max_size=2,
        ),
    }
)  # fmt: skip

# Tables and requests.

_cell = st.one_of(
    st.sampled_from(
        ("p1", "P1", "a b", "summary.csv", "CON", "a.", "..", "=1+1", "", "1e5", "pre.nrrd", "x" * 300, "ä" * 200)
    ),
    st.sampled_from(_ODD_TEXT),
    st.text(max_size=12),
)
_sound_row = st.tuples(st.from_regex(r"[a-z]{1,8}[0-9]{1,3}", fullmatch=True), st.just("pre.nrrd"), st.just("gtv.nrrd"))
tables = st.fixed_dictionaries(
    {
        "kind": st.just("table"),
        "header": st.one_of(
            st.just(["id", "image", "gtv"]),
            st.just(["id", "image", "gtv"]),
            st.just(["id", "image", "gtv", "follow_up", "class"]),
            st.lists(
                st.sampled_from(("id", "ID", "image", "gtv", "class", "follow_up", "", "x")), min_size=1, max_size=6
            ),
        ),
        "rows": st.lists(st.one_of(_sound_row, _sound_row, st.lists(_cell, min_size=0, max_size=6)), max_size=4),
        "separator": st.sampled_from((",", ",", ";", "\t", "|")),
        "ending": st.sampled_from(("\n", "\r\n", "\r")),
        "encoding": st.sampled_from(("utf-8", "utf-8-sig", "latin-1", "utf-16")),
        "quote": st.booleans(),
        "first_line": st.sampled_from(("", "", "sep=;\n", "\n")),
        "edits": st.one_of(st.just([]), st.lists(_edit, max_size=1)),
    }
)

_REQUEST_FIELDS = (
    "id", "type", "image", "gtv", "out", "follow_up", "bundle", "device", "precision", "scheme", "classes", "samples",
    "seed", "sampling", "batch_size", "days_since_rt", "format", "measure", "montage", "report", "protocol", "color",
)  # fmt: skip
_sampling = st.dictionaries(
    st.sampled_from(("sampler", "steps", "guidance_scale", "guidance_form", "eta", "x")),
    st.one_of(_json_leaves, st.sampled_from(("unipc", "ddim", "ddpm", "dpmpp", "standard", "algorithm2"))),
    max_size=3,
)
lines = st.one_of(
    st.fixed_dictionaries(
        {
            "kind": st.just("line"),
            "type": st.sampled_from(("predict", "predict", "load", "cancel", "hello", "x", None)),
            "fields": st.dictionaries(
                st.sampled_from(_REQUEST_FIELDS),
                st.one_of(
                    _json, _sampling, st.lists(st.sampled_from(("short", "long", "predicted", "a/b")), max_size=3)
                ),
                max_size=4,
            ),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("line"), "raw": st.binary(max_size=60).map(bytes.hex)}),
    st.fixed_dictionaries(
        {
            "kind": st.just("line"),
            "nested": st.integers(1, 100_000),
            "where": st.sampled_from(("line", "id", "sampling", "classes")),
        }
    ),
)

EVERYTHING = {
    "geometry": geometries,
    "image": damaged_images,
    "bundle": damaged_bundles,
    "dicom": damaged_dicom,
    "table": tables,
    "line": lines,
}
