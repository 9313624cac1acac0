"""Resolution, scoring and epoch cranks."""
