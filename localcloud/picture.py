"""Draws docs/coverage.svg: `python -m localcloud.picture`.

A made-up October in which most kinds of trouble occur, as a real checkpoint, drawn by the code of
the function. A test holds the file against this: the documentation shows what the map is.
"""

import sys
from datetime import UTC, datetime

from infra import ROOT
from localcloud.coverage_page import PAPER
from mimir_exporter.catalog.metrics import load_catalog
from mimir_exporter.checkpoint.adopt import adopt_settings
from mimir_exporter.checkpoint.outcomes import mark_exported, mark_failed, record_handover
from mimir_exporter.checkpoint.records import GAP_ATTEMPTS, Handover
from mimir_exporter.checkpoint.state import Checkpoint
from mimir_exporter.checkpoint.wanted import wanted_windows
from mimir_exporter.coverage.compute import compute_coverage
from mimir_exporter.coverage.map import draw_map
from mimir_exporter.coverage.summary import summarize
from mimir_exporter.errors.source import MIMIR_UNAVAILABLE, QUERY_EXCEEDS_LIMITS
from mimir_exporter.settings.load import load_settings
from mimir_exporter.settings.parsers import parse_month
from mimir_exporter.timeline.windows import Window, windows_within

PICTURE = ROOT / "docs" / "coverage.svg"
WIDTH, HEIGHT, MARGIN = 840, 640, 14
SETTINGS = {
    "S3_BUCKET": "my-cost-bucket",
    "S3_PREFIX": "k8s/prometheus",
    "CLUSTER_NAME": "central",
    "INITIAL_BACKFILL_DATE": "2026-10-05T09:00",
    "RETENTION_DAYS": "0",
}
TOO_LARGE = QUERY_EXCEEDS_LIMITS.details(cause="the query processed too many samples")
UNAVAILABLE = MIMIR_UNAVAILABLE.details(status=500, url="http://mimir:8080/prometheus")


def _unix(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


NOW = _unix("2026-10-29T14:20")


def draw() -> str:
    """The picture, the same whenever it is made."""
    settings = load_settings(SETTINGS)
    names = tuple(metric.name for metric in load_catalog())
    checkpoint = Checkpoint()
    adopt_settings(checkpoint, settings, names, NOW)

    def windows(start: str, end: str) -> list[Window]:
        return list(windows_within(checkpoint.schedules, _unix(start), _unix(end)))

    gap = windows("2026-10-20T03:00", "2026-10-20T06:00")
    failed = windows("2026-10-28T16:00", "2026-10-28T18:00")
    held = windows("2026-10-24T18:00", "2026-10-25T02:00")
    silent = windows("2026-10-14T02:00", "2026-10-14T05:00")
    pending = windows("2026-10-29T13:00", "2026-10-29T14:00")
    for window, lacking in list(wanted_windows(checkpoint, names, settings, NOW)):
        for name in lacking:
            if window in (*held, *pending):
                continue
            if name == "pod_labels" and window in gap:
                for attempt in range(GAP_ATTEMPTS):
                    mark_failed(checkpoint, name, window, TOO_LARGE, NOW - 86_400 + attempt)
            elif name in ("cpu_usage", "memory_usage") and window in failed:
                mark_failed(checkpoint, name, window, UNAVAILABLE, NOW - 3600)
            else:
                mark_exported(checkpoint, name, window, empty=window in silent)
    ranges = ((held[0].start, held[-1].end),)
    record_handover(checkpoint, Handover("backfill-7-2026-10-24T18-8-windows", ranges, NOW - 600))
    coverage = compute_coverage(checkpoint, names, settings, NOW, parse_month("month", "2026-10"))
    drawn = draw_map(
        coverage,
        summarize(coverage),
        width=WIDTH - 2 * MARGIN,
        height=HEIGHT - 2 * MARGIN,
        theme="auto",
    )
    # An image of its own, which follows the reader's light or dark mode.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><style>rect{{fill:{PAPER["light"]}}}'
        f"@media (prefers-color-scheme:dark){{rect{{fill:{PAPER['dark']}}}}}</style>"
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        f'<foreignObject x="{MARGIN}" y="{MARGIN}" width="{WIDTH - 2 * MARGIN}" '
        f'height="{HEIGHT - 2 * MARGIN}"><body xmlns="http://www.w3.org/1999/xhtml" '
        f'style="margin:0">{drawn}</body></foreignObject></svg>'
    )


def main() -> int:
    PICTURE.write_text(f"{draw()}\n", "utf-8")
    print(PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
