"""Exports Kubernetes cost metrics from Grafana Mimir (or any Prometheus HTTP API) to S3."""

__version__ = "1.0.0"
