"""Models whose rows have several ids of a feature."""
