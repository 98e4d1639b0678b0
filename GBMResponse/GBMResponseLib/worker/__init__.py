"""The engine's process: installation, start, messages."""
