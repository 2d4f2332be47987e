"""The coverage map of a deployed exporter as a page of its own, for a browser on this machine."""

from pathlib import Path

from localcloud.exporter import Exporter

WIDTH, HEIGHT = 1240, 620
# What a dashboard brings along; its buttons would lead nowhere here.
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>Coverage of the export</title>
<style>
body {{ margin: 32px auto; padding: 0 24px; max-width: {width}px; background: #fff; color: #5c6672;
  font: 13px 'Helvetica Neue', Roboto, Arial, sans-serif }}
svg.cov {{ max-width: 100%; height: auto }}
@media (prefers-color-scheme: dark) {{ body {{ background: #101820; color: #9aa7b5 }} }}
a.btn {{ display: none }}
</style>
{widget}
<p>Hours by days, UTC, drawn by the function {function} as a CloudWatch dashboard shows it.
Hover an hour for its metrics.</p>
"""


def write_page(exporter: Exporter, month: str, path: Path) -> None:
    """Ask the function for the map of a month (`2026-10`), in the colours that the reader's system
    prefers."""
    size = {"width": WIDTH, "height": HEIGHT}
    widget = exporter.draw_coverage({"month": month, "widgetContext": size})
    path.parent.mkdir(parents=True, exist_ok=True)
    function = exporter.outputs["CoverageFunction"]
    path.write_text(_PAGE.format(width=WIDTH, widget=widget, function=function), "utf-8")
