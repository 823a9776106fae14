"""Containers, compose and Ray Serve under load."""
