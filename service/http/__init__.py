"""HTTP: a connection, the application, the one scoring call behind both, and who may ask."""
