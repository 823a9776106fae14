"""What a compressed model will be like, from its sizes and its traffic, before it is trained (docs/theory.md)."""
