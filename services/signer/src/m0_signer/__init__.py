"""Re-executes, attests, commits and reveals bundles on chain."""
