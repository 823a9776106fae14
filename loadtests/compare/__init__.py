"""Measures two deployments side by side: servers started for their files, start-up, memory, load and releases."""
