"""The routes of the application, a router for each subject."""
