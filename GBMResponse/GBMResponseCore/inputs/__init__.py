"""What goes in: a case, its grid, its slices and intensities, its true follow-up."""
