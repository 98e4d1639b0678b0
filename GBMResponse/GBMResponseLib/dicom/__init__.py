"""From the scene to DICOM: generated volumes that say so."""
