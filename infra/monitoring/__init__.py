"""Alarms, dashboard and saved queries of an exporter."""
