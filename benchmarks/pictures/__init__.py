"""What ``python -m benchmarks.pictures`` is made of."""
