"""A Kafka cluster as the catalogue wants it: `wanted` against what `cluster` finds is a `plan`, which `apply` does."""
