"""No credentials are in anything that was deployed, logged, returned or written but their secret.

What all tests of this folder have left is searched once more at the session's end (conftest.py).
"""

from collections import Counter
from collections.abc import Iterator

from localcloud.prometheus import DEMO_LOGIN
from tests.e2e.deployed import Deployed
from tests.leaks import Text, everything_in, files_in, leaks

SECRETS = (DEMO_LOGIN.password, DEMO_LOGIN.bcrypt)


def texts_of(deployed: Deployed, said: list[str]) -> Iterator[Text]:
    """Results and errors; objects, log lines, templates, variables, executions, messages, alarms
    and dashboards; what the CDK wrote; and what the cloud itself logged of the functions."""
    yield from (("said", text.encode()) for text in said)
    yield from everything_in(deployed.cloud)
    yield from files_in(deployed.cloud.folder / "cdk")
    yield "log", deployed.cloud.server.program.log.read_bytes()


def test_no_secret_is_in_anything_but_its_secret(deployed: Deployed, said: list[str]) -> None:
    before = len(said)
    for action in ({}, {"action": "check"}, {"action": "status"}):
        deployed.exporter.invoke(action)
    deployed.exporter.draw_coverage({})
    assert len(said) >= before + 4
    texts = list(texts_of(deployed, said))
    kinds = Counter(where.partition(":")[0].partition(" ")[0] for where, _ in texts)
    for kind in ("said", "s3", "keys", "log", "stack", "template", "function", "arn", "dashboard"):
        assert kinds[kind], kinds
    assert [where for where, _ in texts if where.endswith(".template.json")]
    assert leaks(SECRETS, texts) == []
