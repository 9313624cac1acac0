"""Model families: rows to distributions."""
