"""The metrics, as data, and what reads them."""
