"""The module panel."""
