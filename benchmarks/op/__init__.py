"""The native lookup by itself."""
