"""What the server tells of itself: logs, Prometheus metrics, and Triton's statistics. It imports no other room."""
