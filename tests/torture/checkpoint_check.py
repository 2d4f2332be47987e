"""What a checkpoint says is exported, held against the bucket at any moment."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from localcloud.prometheus import Prometheus
from mimir_exporter.checkpoint.ranges import load_ranges
from mimir_exporter.timeline.intervals import union
from tests.integration.deployment import CONTRACT, HOUR_S, LAST_END, Function, metric_of, start_of

File = tuple[str, str, int]  # cluster's folder, metric, start of the window


class CheckpointCheck:
    """Of one function's checkpoint and bucket, over the windows from `begin` (unix seconds) on."""

    def __init__(self, function: Function, mimir: Prometheus, begin: int) -> None:
        self._function = function
        self._expected = set(_expect_files(function, mimir, begin))

    def missing_files(self) -> list[File]:
        """Files of what the checkpoint says is exported that the bucket does not have."""
        # In this order: what happens in between only adds files.
        claimed = set(_claimed(self.document()))
        there = {_file_of(key) for key in self._function.file_keys()}
        return sorted(file for file in self._expected if file[1:] in claimed and file not in there)

    def document(self) -> dict[str, Any]:
        """The checkpoint as it is; empty where there is none."""
        with suppress(self._function.cloud.s3.exceptions.NoSuchKey):
            return self._function.checkpoint()
        return {}

    def windows_left(self, start: int, end: int) -> int:
        """How many windows of this range a regular run would have to do, more or less."""
        document = self.document()
        claimed = set(_claimed(document))
        asked = union(*(load_ranges(one["ranges"]) for one in document.get("reexports", ())))
        return sum(
            not all((name, at) in claimed for name in self._function.metrics or ())
            or any(low <= at < high for low, high in asked)
            for at in range(start, end, HOUR_S)
        )


def _claimed(document: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for group in document.get("progress", ()):
        for low, high in load_ranges(group["exported"]):
            for name in group["metrics"]:
                yield from ((name, start) for start in range(low, high, HOUR_S))


def _expect_files(function: Function, mimir: Prometheus, begin: int) -> Iterator[File]:
    end = LAST_END + 3 * HOUR_S  # past the end of all data
    for metric in function.catalog:
        promql = metric.promql(CONTRACT.cluster_label)
        answer = json.loads(mimir.query_range(promql, begin, end, CONTRACT.step_s))
        for series in answer["data"]["result"]:
            for start in {int(moment) // HOUR_S * HOUR_S for moment, _ in series["values"]}:
                yield CONTRACT.folder(series["metric"]), metric.name, start


def _file_of(key: str) -> File:
    folder = key.removeprefix(f"{CONTRACT.prefix}/").partition("/")[0]
    return folder, metric_of(key), start_of(key)
