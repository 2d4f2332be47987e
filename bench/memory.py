"""Peak memory of the whole process, modules and uploads included, against the answer's size."""

from dataclasses import dataclass

from bench.answers import Shape, make_blocks
from bench.way import python_environment, run_client
from localcloud.aws import KEYS, REGION

SIZES_MB = (10, 100, 1000)
CLUSTERS = (1, 100, 1000)


@dataclass(frozen=True)
class Memory:
    """Peaks in MB of 1,000,000 bytes. `before_mb`: modules and clients, before the query.

    `cpu_s` is from the query to the last upload.
    """

    size_mb: float
    clusters: int
    before_mb: float
    peak_mb: float
    cpu_s: float


def measure_memory(server: str) -> list[Memory]:
    """Interleaved clusters throughout: what is sorted needs less."""
    env = python_environment() | {
        **KEYS,
        "AWS_ENDPOINT_URL": server,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    sample = Shape("usual", 1000, 1)
    series_per_mb = sample.series / (sum(map(len, make_blocks(sample))) / 1e6)
    found = []
    for clusters in CLUSTERS:
        for size_mb in SIZES_MB:
            shape = Shape("usual", round(size_mb * series_per_mb), clusters, mixed=True)
            result = run_client(server, f"/made-{shape.name}", env)
            assert result["series"] == shape.series
            assert result["objects"] == clusters
            found.append(
                Memory(
                    result["raw_bytes"] / 1e6,
                    clusters,
                    result["before_mb"],
                    result["peak_mb"],
                    result["cpu_s"],
                )
            )
    return found
