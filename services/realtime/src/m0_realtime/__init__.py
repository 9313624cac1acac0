"""WebSocket fan-out with sequence numbers and resume."""
