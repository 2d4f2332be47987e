"""Mimir, or another server with its API: asking it, and what its refusals mean."""
