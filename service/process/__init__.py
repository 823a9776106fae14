"""The processes of a server: one that serves, or a supervisor with workers, with their sockets and certificates."""
