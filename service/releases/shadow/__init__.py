"""A version that scores what the live one has scored, in a process of its own, to be compared and never answered."""
