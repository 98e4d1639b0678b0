"""Bundles appear complete or not at all."""

import pytest
from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.model.bundle import open_bundle
from small_file_limit import small_file_limit
from tiny_bundle import write_tiny_bundle


def test_a_full_disk_is_reported_and_keeps_the_bundle_before(tmp_path):
    before = (write_tiny_bundle(tmp_path / "bundle") / "bundle.json").read_bytes()
    with small_file_limit(20_000), pytest.raises(OutputFolderError, match="bundle"):
        write_tiny_bundle(tmp_path / "bundle", change_scale=[2.0] * 4)
    assert (tmp_path / "bundle" / "bundle.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    open_bundle(tmp_path / "bundle").load_networks()
