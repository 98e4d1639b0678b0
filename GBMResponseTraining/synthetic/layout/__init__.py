"""Simulated patients on disk, as CFB-GBM lays them out."""
