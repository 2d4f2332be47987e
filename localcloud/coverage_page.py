"""The coverage map of a deployed exporter as a page of its own, for a browser on this machine."""

from pathlib import Path

from localcloud.exporter import Exporter

WIDTH, HEIGHT = 1240, 640
PAPER = {"light": "#ffffff", "dark": "#101820"}
# What a dashboard brings along; its buttons would lead nowhere here.
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Coverage of the export</title>
<style>
body {{ margin: 24px auto; padding: 0 12px; max-width: {width}px; background: {light};
  color: #5c6672; font: 13px 'Helvetica Neue', Roboto, Arial, sans-serif }}
@media (prefers-color-scheme: dark) {{ body {{ background: {dark}; color: #9aa7b5 }} }}
a.btn {{ display: none }}
</style>
{drawn}
<p>Hours by days, UTC, drawn by the function {function} as a CloudWatch dashboard shows it.
Hover an hour for its metrics.</p>
"""


def write_page(exporter: Exporter, month: str, path: Path) -> None:
    """Ask the function for the map of a month (`2026-10`), and put it into a page: as wide as the
    browser's window allows, in the colours that the reader's system prefers."""
    shown = {"width": WIDTH, "height": HEIGHT}
    drawn = exporter.draw_coverage({"month": month, "widgetContext": shown})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(make_page(drawn, exporter.outputs["CoverageFunction"]), "utf-8")


def make_page(drawn: str, function: str) -> str:
    """The page with the map; `function` is who drew it."""
    return _PAGE.format(width=WIDTH, drawn=drawn, function=function, **PAPER)
