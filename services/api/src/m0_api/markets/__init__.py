"""Markets of the registry."""
