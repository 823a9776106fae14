"""What only a GPU can settle: exactness, placement, speed."""
