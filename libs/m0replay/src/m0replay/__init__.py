"""Tools over the heart: they read and write the log as anybody may, and decide no leaf."""
