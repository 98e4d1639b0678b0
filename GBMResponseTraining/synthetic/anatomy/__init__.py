"""Heads to put tumors into."""
