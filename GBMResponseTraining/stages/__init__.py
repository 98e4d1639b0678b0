"""Stages of a training run, each with what it needs and leaves."""
