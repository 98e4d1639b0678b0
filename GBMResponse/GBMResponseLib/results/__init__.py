"""Results in the scene."""
