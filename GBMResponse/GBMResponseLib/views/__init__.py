"""Results in the slice views."""
