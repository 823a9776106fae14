"""Why there are no scores."""


class ThimbleError(Exception):
    """Why there are no scores: a status and a sentence, as a rule those that the server answered.

    The status is 400 as well for a value that cannot even be sent. Where something else than a server of Thimble
    answered, the status is that of its answer, and the sentence says what came.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
