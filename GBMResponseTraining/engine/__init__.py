"""The training loop: machine, data stream, checkpoints."""
