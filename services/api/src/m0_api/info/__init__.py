"""What a stranger needs to verify on their own."""
