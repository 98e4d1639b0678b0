"""What a run leaves behind: volumes, pictures, report, provenance."""
