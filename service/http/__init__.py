"""HTTP: the connection, the FastAPI application, the one scoring call that both enter, keys, access log and traces."""
