"""Files scored with an artifact."""
