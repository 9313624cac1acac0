"""The lane transitions, chained the same way live, in replay and in a raw-depth signer."""
