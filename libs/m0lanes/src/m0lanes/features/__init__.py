"""Feature families: one way of looking at events each."""
