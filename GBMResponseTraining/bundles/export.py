"""Write trained networks as a model bundle."""

from pathlib import Path
from typing import Any

import torch
from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.files import move, remove_folder, sha256_of_file, write_bytes, write_json, write_text
from GBMResponseCore.model.bundle import WEIGHTS
from GBMResponseCore.model.manifest import SCHEMA_VERSION
from safetensors import SafetensorError
from safetensors.torch import save
from torch import nn

_PARTS_TO_LEAVE_OUT = {"gtv_autoencoder": ("decoder.", "post_quant_conv.")}


def export_bundle(
    folder: Path,
    networks: dict[str, tuple[nn.Module, dict[str, Any]]],
    scheduler: dict[str, Any],
    description: dict[str, Any],
    texts: dict[str, str],
    half: bool = True,
) -> None:
    """Write a bundle; the folder appears complete or not at all.

    :param networks: part name (`image_autoencoder`, `gtv_autoencoder`, `denoiser`, `classifier`) to its network and
        configuration. The GTV decoder is left out, because prediction only encodes the GTV.
    :param description: fields of `bundle.json` except `schema_version` and `files`.
    :param texts: further files by name, such as MODEL_CARD.md.
    :param half: store weights as fp16, else as they are.
    :raises OutputFolderError: it cannot be written; a bundle that was there stays.
    """
    temporary = folder.with_name(f".{folder.name}.partial")
    remove_folder(temporary)
    try:
        _write_parts(temporary, networks, scheduler, texts, half)
        write_description(temporary, description)
        remove_folder(folder)
        move(temporary, folder)
    except (OSError, SafetensorError) as error:
        raise OutputFolderError(f"Cannot write the bundle {folder.name} to the folder {folder.parent}.") from error
    finally:
        remove_folder(temporary)


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write `bundle.json` with size and SHA-256 of every other file of the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "bundle.json")
    files = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": sha256_of_file(path)}
        for path in paths
    }
    write_json({"schema_version": SCHEMA_VERSION, **description, "files": files}, folder / "bundle.json")


def _write_parts(
    temporary: Path,
    networks: dict[str, tuple[nn.Module, dict[str, Any]]],
    scheduler: dict[str, Any],
    texts: dict[str, str],
    half: bool,
) -> None:
    for part, (network, config) in networks.items():
        (temporary / part).mkdir(parents=True)
        write_json(config, temporary / part / "config.json")
        left_out = _PARTS_TO_LEAVE_OUT.get(part, ("\0",))
        weights = {
            name: _stored(tensor, half)
            for name, tensor in network.state_dict().items()
            if not name.startswith(left_out)
        }
        write_bytes(save(weights, metadata={"format": "pt"}), temporary / part / WEIGHTS)
    (temporary / "scheduler").mkdir()
    write_json(scheduler, temporary / "scheduler" / "scheduler_config.json")
    for name, text in texts.items():
        write_text(text, temporary / name)


def _stored(tensor: torch.Tensor, half: bool) -> torch.Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.is_floating_point() else tensor
