"""A model that was trained elsewhere, from its checkpoint to an artifact."""
