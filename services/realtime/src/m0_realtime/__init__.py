"""WebSocket fan-out of predictions and epochs: snapshot, updates with sequence numbers, resume or an announced gap."""
