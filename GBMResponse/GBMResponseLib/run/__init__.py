"""One prediction, from settings to the worker's answer."""
