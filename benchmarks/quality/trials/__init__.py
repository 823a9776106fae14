"""What was tried for a small, heavily shared array, and what came of it."""
