"""Pure forecasting models: no input or output, no clock, no unseeded randomness."""
