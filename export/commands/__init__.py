"""The commands of the command line, a file each.

torch and ONNX take seconds to import, so each command imports only what it needs, when it runs.
"""
