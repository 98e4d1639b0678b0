"""Latents of a slice store: what is encoded, once, by one process, without leaving half a file."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.model.networks import LatentAutoencoder, build_autoencoder
from small_file_limit import small_file_limit
from small_store import write_small_store

from GBMResponseTraining.items.latents import encode_store
from GBMResponseTraining.settings.reader import load_configuration
from GBMResponseTraining.store.slice_store import open_store

SETTINGS = load_configuration("smoke")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return open_store(write_small_store(tmp_path_factory.mktemp("store") / "store"))


@pytest.fixture(scope="module")
def autoencoders():
    torch.manual_seed(0)
    parts = ("image_autoencoder", "gtv_autoencoder")
    networks = [build_autoencoder(getattr(SETTINGS, part).network()).eval() for part in parts]
    autoencoders = [LatentAutoencoder(network, [0.1] * 4, [2.0] * 4).eval() for network in networks]
    return dict(zip(("image", "gtv"), autoencoders, strict=True))


def encode(store, folder, autoencoders, flip=True):
    return encode_store(store, folder, autoencoders, SETTINGS.image_autoencoder.downsampling, flip)


@pytest.fixture(scope="module")
def latents(store, autoencoders, tmp_path_factory):
    return encode(store, tmp_path_factory.mktemp("latents"), autoencoders)


@pytest.mark.parametrize("name", ["pre", "post", "gtv"])
def test_the_second_version_is_the_latent_of_the_flipped_slice(name, store, autoencoders, latents):
    autoencoder = autoencoders["gtv" if name == "gtv" else "image"]
    flipped = np.ascontiguousarray(getattr(store, name)[4].astype(np.float32)[:, ::-1])
    with torch.inference_mode():
        expected = autoencoder.encode(torch.from_numpy(flipped)[None, None])[0].numpy()
    np.testing.assert_allclose(getattr(latents, name)[1, 4], expected, atol=2e-3, rtol=2e-3)


def test_the_mask_is_the_share_of_gtv_and_flips_with_the_slice(store, latents):
    block = store.gtv[4, 28:32, 20:24].mean()
    assert latents.mask[0, 4, 7, 5] == pytest.approx(block, abs=1e-3)
    assert np.array_equal(latents.mask[1], latents.mask[0][..., ::-1])


def test_finished_latents_are_not_made_again(store, autoencoders, tmp_path):
    encode(store, tmp_path, autoencoders)
    before = (tmp_path / "pre.npy").stat().st_mtime_ns
    encode(store, tmp_path, autoencoders)
    assert (tmp_path / "pre.npy").stat().st_mtime_ns == before


def test_latents_of_other_weights_are_made_again(store, autoencoders, tmp_path):
    first = np.array(encode(store, tmp_path, autoencoders).pre)
    other = LatentAutoencoder(autoencoders["image"].model, [0.0] * 4, [1.0] * 4).eval()
    assert not np.array_equal(first, encode(store, tmp_path, {**autoencoders, "image": other}).pre)


def test_another_process_waits_for_the_first(store, autoencoders, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "GBMResponseTraining.items.latents.is_first", lambda: threading.current_thread().name == "first"
    )
    waiting = threading.Thread(target=encode, args=(store, tmp_path, autoencoders), name="second")
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive()
    assert not list(tmp_path.iterdir())
    first = threading.Thread(target=encode, args=(store, tmp_path, autoencoders), name="first")
    first.start()
    for thread in (first, waiting):
        thread.join(600)
        assert not thread.is_alive()


def test_a_full_disk_is_reported_and_leaves_nothing_that_looks_finished(store, autoencoders, tmp_path):
    with small_file_limit(2000), pytest.raises(OutputFolderError, match=r"pre\.npy"):
        encode(store, tmp_path, autoencoders)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="a process keeps its parent's number on Windows")
def test_a_waiting_process_ends_when_the_first_has_ended(tmp_path):
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from GBMResponseTraining.items.processes import LostProcessError, wait_for\n"
        "reading, writing = os.pipe()\n"
        "if os.fork():\n"
        "    os.read(reading, 1)\n"
        "    os._exit(0)\n"
        "try:\n"
        "    wait_for(lambda: os.write(writing, b'looked') == 0)\n"
        "except LostProcessError:\n"
        "    Path(sys.argv[1]).touch()\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "noticed"], check=True, timeout=600)
    deadline = time.monotonic() + 600
    while not (tmp_path / "noticed").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.1)
