"""Statements inside a transaction of who writes the index; a module for each group of tables."""
