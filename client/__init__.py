"""The Python client. It imports nothing of the server."""

from thimble.client.client import AsyncClient, Client
from thimble.client.errors import ThimbleError

__all__ = ["AsyncClient", "Client", "ThimbleError"]
