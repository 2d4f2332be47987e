"""One metric of one window by the exporter's own classes, in a process of its own.

`python -m bench.client` with the function's environment; prints a line of JSON: CPU and clock from
the query to the last object, and the process's highest memory, all modules of the function loaded.
"""

import json
import os
import sys
import time

from bench.answers import SAMPLES, START_S, STEP_S
from bench.measure import peak_mb


def main() -> None:
    from mimir_exporter import handler  # what a function has in memory  # noqa: F401, PLC0415
    from mimir_exporter.answer.spool import Spool  # noqa: PLC0415
    from mimir_exporter.catalog.metrics import Metric  # noqa: PLC0415
    from mimir_exporter.settings.load import load_settings  # noqa: PLC0415
    from mimir_exporter.source.api import Mimir  # noqa: PLC0415
    from mimir_exporter.source.fetch import Fetcher  # noqa: PLC0415
    from mimir_exporter.source.secret import credential_source  # noqa: PLC0415
    from mimir_exporter.storage.connection import S3Connection  # noqa: PLC0415
    from mimir_exporter.storage.fast_bucket import FastBucket  # noqa: PLC0415
    from mimir_exporter.storage.manifest import Layout  # noqa: PLC0415
    from mimir_exporter.storage.upload import Export  # noqa: PLC0415
    from mimir_exporter.storage.write import Writer  # noqa: PLC0415
    from mimir_exporter.timeline.deadline import Deadline  # noqa: PLC0415
    from mimir_exporter.timeline.windows import Window  # noqa: PLC0415

    settings = load_settings(os.environ)
    deadline = Deadline(600)
    connection = S3Connection(settings.bucket)
    bucket = FastBucket(connection, settings.bucket)
    mimir = Mimir(settings, credential_source(""), deadline)
    fetcher = Fetcher(settings, mimir, deadline)
    writer = Writer(bucket, settings.prefix, Layout("cluster", "central", True), deadline)
    metric = Metric("cpu_usage", "cpu_usage{$matchers}")
    window = Window(START_S, START_S + STEP_S * SAMPLES, STEP_S)
    mimir.find_ready()  # the connection is open
    before_mb = peak_mb()

    cpu, wall = time.process_time(), time.perf_counter()
    with Spool(steps=(window.start, window.last)) as spool:
        fetcher.fetch(metric, window, spool)
        stats = writer.write(Export(metric, window, force=True), spool)
        result = {"series": spool.series, "samples": spool.samples, "raw_bytes": spool.raw_bytes}
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    mimir.close()
    json.dump(
        result
        | {"cpu_s": cpu, "wall_s": wall, "before_mb": before_mb, "peak_mb": peak_mb()}
        | {"objects": stats.objects, "bytes": stats.bytes},
        sys.stdout,
    )


if __name__ == "__main__":
    main()
