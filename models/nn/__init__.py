"""The torch modules: what is trained and exported. Nothing that serves imports them."""

from thimble.models.nn.shared_memory import SharedMemory

__all__ = ["SharedMemory"]
