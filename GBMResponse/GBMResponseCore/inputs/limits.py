"""Where the engine and the panel begin to refuse or to warn; plain numbers, for both."""

SMALLEST_MATRIX = 32
"""Voxels in-plane, along either axis: below, there is no head to predict."""

SMALL_GTV_ML = 0.5
"""Below, the prediction has little to go by."""

LARGE_SLICE_SPACING_MM = 7.0
"""Above, sizes across slices are uncertain."""
