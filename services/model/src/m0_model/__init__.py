"""Features to probability distributions with intervals and risk."""
