"""The training loop: machine, data stream, checkpoints."""

from GBMResponseCore.model.loading import loading

with loading():
    import lightning  # noqa: F401  which its parts import, too
