"""What a load test sends and what it must get back: the served model, rows, requests and the check of answers."""
