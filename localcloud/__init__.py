"""A cloud on one machine: real Prometheus, AWS by MiniStack, the real CDK CLI.

The demo, the integration tests, the end-to-end test and the benchmarks use it. Nothing here ships.
"""
