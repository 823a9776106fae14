"""Rows to a trained model in a run's folder."""
