"""What compression costs in quality: many runs on the same rows, as many as a time allows, and the page of them."""
