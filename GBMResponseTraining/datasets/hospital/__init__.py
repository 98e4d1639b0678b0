"""Readers of a hospital's own cases."""
