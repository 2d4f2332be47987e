"""The resources of an exporter, one construct a file."""
