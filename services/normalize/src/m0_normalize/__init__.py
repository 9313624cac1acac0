"""Raw events to canonical ones: validation, dedupe, dead letters."""
