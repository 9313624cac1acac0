"""Lanes computed in processes beside the desk: what is said between them, the work itself, and who hands it out."""
