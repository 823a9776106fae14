"""The server against others, against its own engine, and under overload."""
