"""What can be wrong with a run."""


class RunError(ValueError):
    """A run that cannot go on, or a run's folder that cannot be used as asked."""
