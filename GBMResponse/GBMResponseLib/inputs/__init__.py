"""Volumes and segments that the user chose: facts, findings, fixes, export."""
