"""What a window cannot take less of: `python -m bench.floor SHAPE ANSWERS FILES BYTES`.

Raw ISA-L of level 1 over the same answers, and a PUT by obstore for each file, of the size that the
files have on the average. Prints seconds of CPU of both, as JSON.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import obstore
from isal import isal_zlib
from obstore.store import S3Store

from bench.answers import Shape, make_blocks
from bench.way import BUCKET

AT_ONCE = 8
METADATA = {
    "Content-Type": "application/gzip",
    "window": "2025-10-05T00:00:00Z/2025-10-05T01:00:00Z",
    "step": "60",
    "series": "2000",
    "samples": "120000",
    "split-by": "cluster",
    "exporter": "mimir-exporter/1.0.0",
    "source": "central",
}


def main() -> None:
    shape, answers, files, size = Shape.parse(sys.argv[1]), *map(int, sys.argv[2:5])
    blocks = list(make_blocks(shape))
    cpu = time.process_time()
    for _ in range(answers):
        compressor = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31)
        for block in blocks:
            compressor.compress(block)
        compressor.flush()
    compress_s = time.process_time() - cpu

    os.environ["TOKIO_WORKER_THREADS"] = "1"  # as the exporter has it
    store = S3Store(
        BUCKET,
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        aws_endpoint_url_s3=os.environ["AWS_ENDPOINT_URL"],
        region="eu-central-1",
        client_options={"allow_http": True},
    )
    body = os.urandom(size)

    def put(number: int) -> None:
        key = f"floor/{os.getpid()}/cluster-{number}/end=20251101/day=5/metric=x/1759622400_x.gz"
        obstore.put(store, key, body, attributes=METADATA, mode="create", use_multipart=False)

    put(-1)
    cpu = time.process_time()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(put, range(files)))
    json.dump({"compress_s": compress_s, "put_s": time.process_time() - cpu}, sys.stdout)


if __name__ == "__main__":
    main()
