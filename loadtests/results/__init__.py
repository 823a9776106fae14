"""What load tests and comparisons found, as it is saved: the results files, their limits and a summary in text."""
