"""Settings of a training and the presets that hold them."""
