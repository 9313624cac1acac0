"""Every SQL statement of the indexer."""
