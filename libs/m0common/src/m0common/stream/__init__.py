"""Lanes over a broker: cores, the stage loop, the broker port and its implementations."""
