"""Which versions of which models are served: the repository, loading, and every change without a pause."""
