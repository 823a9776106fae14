"""The servers that Thimble is compared with, each started as `python -m benchmarks.serving.rivals.NAME`."""
