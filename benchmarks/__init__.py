"""Benchmarks: nothing in, what things cost on this machine out. `python -m benchmarks.run`."""
