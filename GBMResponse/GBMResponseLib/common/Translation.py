"""Slicer's translation where there is a Slicer, else the text itself, so that the logic can be tested anywhere."""

try:
    from slicer.i18n import tr
except ImportError:

    def tr(text: str) -> str:
        """Return the text unchanged."""
        return text


__all__ = ["tr"]
