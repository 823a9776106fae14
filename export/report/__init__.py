"""The page of a training run or of an evaluation, made from what is known of it alone."""
