"""Click files, and generated clicks, as rows that a model takes."""
