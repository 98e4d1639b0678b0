"""From image pairs to the slice store that trainings read; splits and leakage."""
