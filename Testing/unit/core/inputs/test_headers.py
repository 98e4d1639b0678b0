"""NRRD and MetaImage headers: damage, lines that end the process, and data elsewhere are refused before ITK reads."""

import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import errors
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.inputs.reading import read_image, read_volume


@pytest.fixture
def image() -> sitk.Image:
    return phantoms.head((64, 64, 8), (1.8, 1.8, 10))


def spoiled(image, path, old: bytes, new: bytes, compress: bool = False):
    """The image written by ITK, with one place of its header changed."""
    sitk.WriteImage(image, path, useCompression=compress)
    content = path.read_bytes()
    assert content.count(old) >= 1
    path.write_bytes(content.replace(old, new, 1))
    return path


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("compress", [False, True])
def test_good_files_are_read_attached_and_detached(tmp_path, image, suffix, compress):
    sitk.WriteImage(image, tmp_path / f"a{suffix}", useCompression=compress)
    volume = read_volume(tmp_path / f"a{suffix}")
    assert volume.oriented and not volume.notes
    assert sitk.Hash(volume.image) == sitk.Hash(image)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"space: left-posterior-superior", b"space: " + b"l" * 1100),
        (b"space: left-posterior-superior", b"space: nowhere"),
        (b"kinds: domain domain domain", b"kinds: " + b"k" * 5000),
        (b"kinds: domain domain domain", b"kinds: " + b"d " * 200),
        (b"space origin: ", b"sp" + b"A" * 300 + b"9" * 300 + b" "),
        (b"space origin: ", b"sp" + b"A" * 300 + b": "),
        (b"# Complete", b"# " + b"9" * 2000),
        (b"dimension: 3", b"dimension: 1000000"),
        (b"dimension: 3", b"dimension: -1"),
        (b"sizes: 64 64 8", b"sizes: 64 64 1e20"),
        (b"sizes: 64 64 8", b"sizes: 64 64 0"),
        (b"sizes: 64 64 8", b"sizes: 640000 640000 8000"),
        (b"type: short", b"type: block"),
        (b"encoding: raw", b"encoding: zip"),
        (b"space origin: (", b"space origin: (nan,"),
        (b"space directions: (1.8,0,0)", b"space directions: (1e300,0,0)"),
    ],
)
def test_nrrd_headers_that_no_writer_makes_are_refused(tmp_path, image, old, new):
    path = spoiled(image, tmp_path / "a.nrrd", old, new)
    with pytest.raises(errors.UnreadableFileError) as caught:
        read_image(path)
    assert caught.value.exit_code == 12


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"NDims = 3", b"NDims = 1000000"),
        (b"NDims = 3", b"NDims = -1"),
        (b"NDims = 3", b"NDims = 1e20"),
        (b"NDims = 3", b"NDims = 2"),
        (b"DimSize = 64 64 8", b"DimSize = 640000 640000 8"),
        (b"TransformMatrix = 1 0 0", b"TransformMatrix = nan 0 0"),
        (b"Offset = ", b"Offset = 1 2 "),
        (b"ElementType = MET_SHORT", b"ElementType = " + b"M" * 4000),
        (b"ElementType = MET_SHORT", b"ElementType = MET_NONE"),
        (b"ObjectType = Image", b"ObjectType"),
    ],
)
def test_meta_image_headers_that_no_writer_makes_are_refused(tmp_path, image, old, new):
    path = spoiled(image, tmp_path / "a.mha", old, new)
    with pytest.raises(errors.UnreadableFileError) as caught:
        read_image(path)
    assert caught.value.exit_code == 12


def test_more_data_files_than_any_head_has_are_refused_at_once(tmp_path):
    header = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 4 4\nencoding: raw\nendian: little\n"
    path = tmp_path / "many.nhdr"
    path.write_text(header + "data file: slice%d.raw 1 999999999 1\n\n")
    with pytest.raises(errors.UnreadableFileError, match="names 999999999 data files"):
        read_image(path)


@pytest.mark.parametrize("place", ["/etc/passwd", "../a.raw", "sub/a.raw", "..\\a.raw", "C:a.raw"])
@pytest.mark.parametrize(("suffix", "key"), [(".nhdr", b"data file: a.raw"), (".mhd", b"ElementDataFile = a.raw")])
def test_detached_data_lie_beside_their_header(tmp_path, image, suffix, key, place):
    path = spoiled(image, tmp_path / f"a{suffix}", key, key.replace(b"a.raw", place.encode()))
    with pytest.raises(errors.UnreadableFileError, match="outside its own folder"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_detached_data_that_are_cut_off_or_missing_are_refused(tmp_path, image, suffix):
    sitk.WriteImage(image, tmp_path / f"a{suffix}")
    data = tmp_path / "a.raw"
    data.write_bytes(data.read_bytes()[:-2])
    with pytest.raises(errors.UnreadableFileError, match="cut off"):
        read_image(tmp_path / f"a{suffix}")
    data.unlink()
    with pytest.raises(errors.UnreadableFileError, match=r"lacks its data file a\.raw"):
        read_image(tmp_path / f"a{suffix}")


def test_data_in_several_files_are_read(tmp_path, image):
    for number in range(8):
        (tmp_path / f"{number:03d}.raw").write_bytes(sitk.GetArrayFromImage(image)[number].tobytes())
    sitk.WriteImage(image, tmp_path / "a.mhd")
    header = (tmp_path / "a.mhd").read_bytes()
    names = "\n".join(f"{number:03d}.raw" for number in range(8)).encode()
    for listed in (b"LIST\n" + names + b"\n", b"%03d.raw 0 7 1\n"):
        (tmp_path / "a.mhd").write_bytes(header.replace(b"a.raw", listed))
        assert sitk.Hash(read_image(tmp_path / "a.mhd")) == sitk.Hash(image)


def test_long_values_of_segmentations_are_no_damage(tmp_path, image):
    long = b"Segment0_Tags:=" + b"t" * 20_000 + b"\nkinds: domain"
    path = spoiled(image, tmp_path / "a.nrrd", b"kinds: domain", long)
    assert len(read_volume(path).values["Segment0_Tags"]) == 20_000


def test_vectors_of_one_component_are_numbers(tmp_path, image):
    sitk.WriteImage(sitk.Compose([image]), tmp_path / "a.nrrd")
    sitk.WriteImage(phantoms.gtv((64, 64, 8), (1.8, 1.8, 10)), tmp_path / "b.nrrd")
    case = load_case(tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    assert case.image.GetPixelID() == sitk.sitkInt16


def test_nearly_perpendicular_axes_are_straightened_and_sheared_ones_refused(tmp_path, image):
    key = b"space directions: (1.8,0,0)"
    near = read_image(spoiled(image, tmp_path / "a.nrrd", key, b"space directions: (1.8,0.0009,0)"))
    assert near.GetDirection() != image.GetDirection()
    cosines = [near.GetDirection()[start::3] for start in range(3)]
    assert sum(a * b for a, b in zip(cosines[0], cosines[1], strict=True)) == pytest.approx(0, abs=1e-12)
    with pytest.raises(errors.UnreadableFileError, match="sheared"):
        read_image(spoiled(image, tmp_path / "a.nrrd", key, b"space directions: (1.8,0.5,0)"))


def test_the_format_is_known_by_the_content(tmp_path, image):
    sitk.WriteImage(image, tmp_path / "a.nrrd")
    (tmp_path / "a.nrrd").rename(tmp_path / "a.mha")
    assert sitk.Hash(read_image(tmp_path / "a.mha")) == sitk.Hash(image)


def test_a_path_that_is_not_utf8_is_a_typed_error(tmp_path, image):
    sitk.WriteImage(image, tmp_path / "a.nrrd")
    path = tmp_path / "caf\udce9.nrrd"
    (tmp_path / "a.nrrd").rename(path)
    with pytest.raises(errors.UnreadableFileError, match="not UTF-8"):
        read_image(path)


def test_a_path_in_a_system_without_utf8_is_a_typed_error(tmp_path, image, monkeypatch):
    sitk.WriteImage(image, tmp_path / "ä.nrrd")
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "iso8859-1")
    with pytest.raises(errors.UnreadableFileError, match="path that cannot be used"):
        read_image(tmp_path / "ä.nrrd")
