"""The coverage map of a deployed exporter as a page of its own, for a browser on this machine."""

from collections.abc import Callable
from pathlib import Path

from localcloud.exporter import Exporter

# From the widest to the narrowest: the page shows the first that fits into the browser's window.
SIZES = ((1240, 620), (852, 620), (452, 720), (360, 720))
PADDING = 12
SCROLLBAR = 16  # which counts as a part of the window
# What a dashboard brings along; its buttons would lead nowhere here.
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Coverage of the export</title>
<style>
body {{ margin: 24px auto; padding: 0 {padding}px; max-width: {widest}px; background: #fff;
  color: #5c6672; font: 13px 'Helvetica Neue', Roboto, Arial, sans-serif }}
svg.cov {{ max-width: 100%; height: auto }}
@media (prefers-color-scheme: dark) {{ body {{ background: #101820; color: #9aa7b5 }} }}
a.btn, section {{ display: none }}
{choice}
</style>
{maps}
<p>Hours by days, UTC, drawn by the function {function} as a CloudWatch dashboard shows it.
Hover an hour for its metrics.</p>
"""


def write_page(exporter: Exporter, month: str, path: Path) -> None:
    """Ask the function for the map of a month (`2026-10`) in each size, and put them into a page
    in the colours that the reader's system prefers."""

    def draw(width: int, height: int) -> str:
        shown = {"width": width, "height": height}
        return exporter.draw_coverage({"month": month, "widgetContext": shown})

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(make_page(draw, exporter.outputs["CoverageFunction"]), "utf-8")


def make_page(draw: Callable[[int, int], str], function: str) -> str:
    """The page; `draw` gives the map of a width and a height, `function` is who drew it."""
    maps, choice = [], []
    narrower = ""
    for width, height in SIZES:
        maps.append(f'<section class="w{width}">{draw(width, height)}</section>')
        # The last one also where it does not fit: it is scaled down there.
        needs = 0 if width == SIZES[-1][0] else width + 2 * PADDING + SCROLLBAR
        where = f"(min-width: {needs}px){narrower}"
        choice.append(f"@media {where} {{ .w{width} {{ display: block }} }}")
        narrower = f" and (max-width: {needs - 0.02}px)"
    return _PAGE.format(
        padding=PADDING,
        widest=SIZES[0][0],
        choice="\n".join(choice),
        maps="\n".join(maps),
        function=function,
    )
