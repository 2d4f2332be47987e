"""The login is in nothing that was deployed, said or written, but in its secret.

Last by its name, so that what all tests of this folder have left can be looked at.
"""

from collections import Counter

from localcloud.prometheus import DEMO_LOGIN
from tests.e2e.deployed import Deployed
from tests.leaks import everything_in, files_in, leaks

SECRETS = (DEMO_LOGIN.password, DEMO_LOGIN.bcrypt)


def test_no_secret_is_in_a_result_or_an_error(deployed: Deployed, said: list[str]) -> None:
    for action in ({}, {"action": "check"}, {"action": "status"}):
        deployed.exporter.invoke(action)
    deployed.exporter.draw_coverage({})
    assert len(said) >= 4
    assert leaks(SECRETS, [("said", text.encode()) for text in said]) == []


def test_no_secret_is_in_the_cloud(deployed: Deployed) -> None:
    """In no object, log line, template, variable, execution, message, alarm or dashboard."""
    deployed.exporter.invoke()
    texts = list(everything_in(deployed.cloud))
    kinds = Counter(where.partition(":")[0].partition(" ")[0] for where, _ in texts)
    for kind in ("s3", "keys", "log", "stack", "template", "function", "arn", "dashboard"):
        assert kinds[kind], kinds
    assert leaks(SECRETS, texts) == []


def test_no_secret_is_in_what_the_cdk_wrote(deployed: Deployed) -> None:
    """Templates, assets, outputs, its log; and what the cloud itself logged of the functions."""
    folder = deployed.cloud.folder
    texts = [*files_in(folder / "cdk"), ("log", deployed.cloud.server.program.log.read_bytes())]
    assert [where for where, _ in texts if where.endswith(".template.json")]
    assert leaks(SECRETS, texts) == []
