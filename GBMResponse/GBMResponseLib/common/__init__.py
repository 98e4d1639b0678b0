"""What every room of the Slicer side uses."""
