"""Resolution, scoring, epoch cranks and the trim of lane state."""
