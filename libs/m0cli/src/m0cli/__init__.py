"""The m0 command."""
