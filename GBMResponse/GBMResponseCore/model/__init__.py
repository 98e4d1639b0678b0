"""The model bundle, its networks, and how they are asked."""
