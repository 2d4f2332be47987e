"""The pure parts fed with anything: what comes out means what went in, or it is refused."""

import json
import random
from typing import Any
from urllib.parse import unquote_to_bytes

from hypothesis import strategies as st

from mimir_exporter.checkpoint.document import VERSION, dump
from mimir_exporter.checkpoint.loading import load
from mimir_exporter.errors import CheckpointError, ExportError, SettingsError
from mimir_exporter.settings.load import load_settings
from mimir_exporter.settings.settings import ROWS
from mimir_exporter.source.refusals import RETRY_AFTER_CAP_S, classify
from mimir_exporter.storage.layout import cluster_folder, object_key, parse_key
from tests.torture import hostile
from tests.torture.conftest import Record
from tests.torture.search import search
from tests.unit import answers
from tests.unit.test_document import CHECKPOINTS, TIMES
from tests.unit.test_layout import METRICS, STARTS

PREFIX = "k8s/prometheus"
SECRET = "s3cr3t-t0ken"
TEXTS = answers.seeds.map(lambda seed: hostile.text(random.Random(seed)))


def test_no_damaged_answer_is_split_wrongly(budget_s: float, seed: int, record: Record) -> None:
    """Answers with bytes flipped, lost, doubled or replaced by syntax, in blocks cut anywhere."""

    def check(matrix: list[Any], chance: int, points: list[int]) -> None:
        whole = answers.answer(matrix)
        text = answers.damage(whole, random.Random(chance))
        record(f"damaged answers: {answers.judge(text, points, whole, matrix)}", 1)

    search(
        check,
        budget_s,
        seed,
        matrix=st.one_of(st.just(answers.SMALL), answers.matrices),
        chance=answers.seeds,
        points=st.lists(st.integers(0, 3000), max_size=6),
    )


def test_every_cluster_has_its_own_folder_and_every_key_is_read_back(
    budget_s: float, seed: int, record: Record
) -> None:
    folders: dict[str, str] = {}

    def check(cluster: str, metric: str, start: int, other: str) -> None:
        folder = cluster_folder(cluster)
        assert folders.setdefault(folder, cluster) == cluster
        if "%s" not in folder:
            assert unquote_to_bytes(folder).decode("utf-8", "surrogatepass") == cluster
        key = object_key(PREFIX, cluster, metric, start)
        assert len(key.encode()) <= 1024
        found = parse_key(PREFIX, key)
        assert found is not None
        assert (found.folder, found.metric, found.start) == (folder, metric, start)
        # Of two keys of another spelling at most one can be a file of ours.
        for foreign in (key + other, other + key, key.replace("/", other, 1), key.upper()):
            if foreign != key and (known := parse_key(PREFIX, foreign)) is not None:
                assert foreign.startswith(f"{PREFIX}/{known.folder}/end=")
                assert f"/{known.start}_{known.metric}.json.gz" in foreign

    made = search(
        check,
        budget_s,
        seed,
        cluster=TEXTS | st.text(st.characters(), max_size=30),
        metric=METRICS,
        start=STARTS,
        other=TEXTS.filter(bool),
    )
    record("clusters and keys encoded and read back", made)


def test_a_damaged_checkpoint_is_refused_or_read_as_it_is(
    budget_s: float, seed: int, record: Record
) -> None:
    def check(checkpoint: Any, now: int, chance: int) -> None:
        text = dump(checkpoint, now)
        assert load(text, "x") == checkpoint
        damaged = answers.damage(text, random.Random(chance))
        try:
            found = load(damaged, "x")
        except CheckpointError:
            record("damaged checkpoints: refused", 1)
            return
        assert json.loads(damaged)["version"] <= VERSION
        assert load(dump(found, now), "x") == found
        record("damaged checkpoints: still one", 1)

    search(check, budget_s, seed, checkpoint=CHECKPOINTS, now=TIMES, chance=answers.seeds)


def test_any_environment_is_understood_or_refused_in_a_sentence(
    budget_s: float, seed: int, record: Record
) -> None:
    """And whatever is wrong, no secret is quoted."""
    good = {"S3_BUCKET": "costs", "S3_PREFIX": PREFIX, "CLUSTER_NAME": "central"}
    names = st.sampled_from(sorted(ROWS))
    values = TEXTS | st.text(max_size=8) | st.sampled_from(["0", "-1", "1e9", "3d", "true", "[]"])

    def check(environ: dict[str, str], token: str) -> None:
        given = {name: value.replace("\0", "") for name, value in environ.items()}
        given |= {"PROMETHEUS_BEARER_AUTH_TOKEN": SECRET + token}
        refusal = None
        try:
            load_settings({**good, **given})
        except SettingsError as error:
            refusal = str(error)
        assert SECRET not in str(refusal)
        record("environments: understood" if refusal is None else "environments: refused", 1)

    search(
        check,
        budget_s,
        seed,
        environ=st.dictionaries(names, values, min_size=1, max_size=3),
        token=TEXTS,
    )


def test_any_refusal_has_a_class_and_a_short_line(
    budget_s: float, seed: int, record: Record
) -> None:
    def check(status: int, body: str, wrapped: bool, header: str) -> None:
        text = json.dumps({"status": "error", "error": body}) if wrapped else body
        error = classify(status, text, url="http://m/q", headers={"Retry-After": header})
        assert isinstance(error, ExportError)
        assert "\n" not in str(error)
        assert len(str(error)) < 700
        assert (getattr(error, "retry_after_s", None) or 0) <= RETRY_AFTER_CAP_S

    bodies = TEXTS | st.text(max_size=2000) | st.text(max_size=20).map("<html>{}</html>".format)
    made = search(
        check,
        budget_s,
        seed,
        status=st.integers(300, 599),
        body=bodies,
        wrapped=st.booleans(),
        header=TEXTS | st.integers().map(str),
    )
    record("refusals given a class", made)
