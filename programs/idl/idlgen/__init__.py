"""Reads the interface files and renders IDLs and Rust."""
