"""DICOM files: a tree of them as series and structure sets, a series as a volume, contours as a mask."""
