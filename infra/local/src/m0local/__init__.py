"""The embedded stack behind make up: supervisor, real servers from packages, provisioning."""
