"""Whether models of other projects score as they did there once they are imported, and what importing takes."""
