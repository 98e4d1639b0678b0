"""Metrics of images, masks and classes."""
