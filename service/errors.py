"""What a client did wrong, in one sentence that names the culprit."""


class RequestError(Exception):
    """Answered as {"error": message} with this status; the connection is closed where the body was not read."""

    def __init__(self, status: int, message: str, *, unread: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.unread = unread


class StartupError(Exception):
    """Why the server cannot start, in one sentence."""
