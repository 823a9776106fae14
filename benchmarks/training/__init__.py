"""What training costs in time, and what its choices cost in quality."""
