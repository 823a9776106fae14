"""The routes beside scoring, a router for each subject."""
