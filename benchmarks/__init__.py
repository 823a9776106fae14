"""Scripts that measure what the README and the docs quote, with their raw results."""
