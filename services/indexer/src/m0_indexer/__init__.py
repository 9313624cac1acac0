"""Chain events and bundles to Postgres; decides what is final."""
