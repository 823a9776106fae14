"""Generates load with Locust: when requests are due, the users that send them, and who leads the processes."""
