"""What training costs, and what it is worth."""
