"""The warm process behind the panel: `python -m GBMResponseCore.worker`."""
