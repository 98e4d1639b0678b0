"""Readers of public cohorts."""
