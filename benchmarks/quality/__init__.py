"""What compression costs in AUC."""
