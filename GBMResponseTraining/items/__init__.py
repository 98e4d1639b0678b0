"""What networks are trained on: slices, latents, classes."""
