"""What tests and benchmarks share: servers, samples, load and data."""
