"""A process of its own in which files are loaded first, so that a bad one cannot harm the server."""
