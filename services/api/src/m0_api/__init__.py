"""REST and OpenAPI over the index."""
