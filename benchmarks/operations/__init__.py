"""What releases, shadows, keys, stops, faults and an hour of load do to a running server."""
