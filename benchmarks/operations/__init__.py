"""What releases, shadows, keys, stops and an hour of load do to a running server."""
