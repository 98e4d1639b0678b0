"""State dicts: read from a checkpoint without executing its pickle, chosen by prefix, loaded strictly."""

from pathlib import Path
from typing import Any

import torch
from GBMResponseCore.errors import UnreadableFileError
from GBMResponseCore.files import check_file
from torch import nn

StateDict = dict[str, torch.Tensor]

_UNET = "model.diffusion_model."
_EMA = "model_ema."


def read_state_dict(path: Path) -> StateDict:
    """Read the tensors of a Lightning checkpoint, or of a bare state dict saved with `torch.save`.

    :raises MissingFileError, EmptyFileError: there is no such file, or nothing in it.
    :raises UnreadableFileError: the file is damaged, needs its pickle to be executed, or holds no tensors.
    """
    check_file(path, "checkpoint")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a refusal is pickle's own exception, damage anything from EOFError to RuntimeError
        raise UnreadableFileError(
            f"The checkpoint {path.name} is damaged, or holds more than tensors and would execute code when loaded.",
            "If you trust its source, reduce it to its tensors once, in isolation: see docs/import-checkpoints.md.",
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise _no_weights(path)
    state = {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}
    if not state:
        raise _no_weights(path)
    return state


def with_prefix(state: StateDict, prefix: str) -> StateDict:
    """Return the entries below `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def unet_weights(state: StateDict) -> tuple[StateDict, bool]:
    """Return the UNet's weights by LDM name, and whether they are the moving average.

    The average stores each name with its dots removed (`model_ema.diffusion_modeltime_embed0weight`), so it is looked
    up by the raw names. Without an average the raw weights are returned.

    :raises UnreadableFileError: the average is incomplete.
    """
    raw = with_prefix(state, _UNET)
    flat = {name: _EMA + f"diffusion_model.{name}".replace(".", "") for name in raw}
    missing = [name for name, key in flat.items() if key not in state]
    if len(missing) == len(raw):
        return raw, False
    if missing:
        raise UnreadableFileError(
            f"The moving average of the UNet lacks {len(missing)} of {len(raw)} tensors (first: {missing[0]}).",
            "Use a complete checkpoint.",
        )
    return {name: state[key] for name, key in flat.items()}, True


def load_strictly(module: nn.Module, weights: StateDict, what: str) -> None:
    """Load `weights` as float32.

    :param what: names the weights in messages.
    :raises UnreadableFileError: a tensor is missing, unexpected or of another shape.
    """
    expected: dict[str, Any] = module.state_dict()
    problems = {
        "missing": [name for name in expected if name not in weights],
        "unexpected": [name for name in weights if name not in expected],
        "of another shape": [n for n in expected if n in weights and expected[n].shape != weights[n].shape],
    }
    if any(problems.values()):
        counts = ", ".join(f"{len(names)} {kind} (first: {names[0]})" for kind, names in problems.items() if names)
        raise UnreadableFileError(
            f"The weights of the {what} do not fit: {counts}.",
            "Check that checkpoint and YAML belong to the same run of the authors' released code.",
        )
    module.load_state_dict({name: tensor.float() for name, tensor in weights.items()})


def _no_weights(path: Path) -> UnreadableFileError:
    return UnreadableFileError(f"The checkpoint {path.name} holds no weights.", "Give a Lightning checkpoint (*.ckpt).")
