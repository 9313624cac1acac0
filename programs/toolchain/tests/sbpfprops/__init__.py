"""What the probe program must answer, and the inputs worth asking."""
