"""Looks for secrets in all that a cloud holds and in any text, in every form they could have there.

But for Secrets Manager, where they belong.
"""

import base64
import gzip
import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from localcloud.aws import Cloud

Text = tuple[str, bytes]  # where it is, and what is there


def leaks(secrets: Iterable[str], texts: Iterable[Text]) -> list[str]:
    """Where a secret is in these texts, compressed ones included; the first few."""
    forms = {form for secret in secrets for form in spellings(secret)}
    # What holds another form is found with it.
    short = sorted(form for form in forms if not any(one != form and one in form for one in forms))
    found = []
    for where, content in texts:
        for place, text in unpack(where, content):
            found += [
                f"{place}: ...{text[max(0, at - 80) : at + len(form)]!r}"
                for form in short
                if (at := text.find(form)) >= 0
            ]
    return found[:20]


def spellings(secret: str) -> set[bytes]:
    """A secret as it is, and as it is written in a URL, a form, JSON, Python, and in base64."""
    whole = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    whole |= {json.dumps(text, ensure_ascii=False)[1:-1] for text in whole}  # a line in an answer
    whole |= {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    whole |= {repr(secret)[1:-1], ascii(secret)[1:-1]}
    texts = {text.encode() for text in whole}
    return texts.union(*map(_in_base64, texts))


def _in_base64(secret: bytes) -> Iterator[bytes]:
    """What base64 makes of it behind anything: a user's name, say, as in Basic authentication.

    Three bytes become four characters, so there are three places to begin in it. Characters that
    depend on what is before and behind are no part of what is searched for.
    """
    for before in range(3):
        # From the first character that is of the secret alone to the last one.
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        padded = bytes(before) + secret + b"\0\0\0"
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded)[first:last]


def unpack(where: str, content: bytes) -> Iterator[Text]:
    """A text, or what is packed in it: a file of gzip, the members of an archive."""
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield from unpack(f"{where}, {name}", archive.read(name))
        return
    yield where, content


def everything_in(cloud: Cloud) -> Iterator[Text]:
    """Objects, log lines, templates, functions, executions, messages, alarms and dashboards."""
    yield from objects_in(cloud)
    yield from logs_in(cloud)
    yield from stacks_in(cloud)
    yield from functions_in(cloud)
    yield from executions_in(cloud)
    yield from messages_in(cloud)
    yield from alarms_and_dashboards_in(cloud)


def objects_in(cloud: Cloud) -> Iterator[Text]:
    """Keys, metadata and bodies of the objects of every bucket.

    Of the same object under the same key in several buckets, as tests without credentials leave it
    by the thousand, one is read.
    """
    known: set[tuple[str, str]] = set()

    def read(place: tuple[str, str]) -> tuple[Text, Text]:
        bucket, key = place
        got = cloud.s3.get_object(Bucket=bucket, Key=key)
        where, body = f"s3://{bucket}/{key}", got["Body"].read()
        return (f"{where}, metadata", _as_text({**got, "Body": None})), (where, body)

    with ThreadPoolExecutor(4) as pool:
        for name in [bucket["Name"] for bucket in cloud.s3.list_buckets()["Buckets"]]:
            pages = cloud.s3.get_paginator("list_objects_v2").paginate(Bucket=name)
            listed = {one["Key"]: one["ETag"] for page in pages for one in page.get("Contents", ())}
            yield f"keys of s3://{name}", "\n".join(listed).encode()
            for texts in pool.map(read, [(name, key) for key, _ in listed.items() - known]):
                yield from texts
            known |= listed.items()


def logs_in(cloud: Cloud) -> Iterator[Text]:
    """Every line of every log group, as it was written."""
    groups = cloud.logs.get_paginator("describe_log_groups").paginate()
    for name in [one["logGroupName"] for page in groups for one in page["logGroups"]]:
        pages = cloud.logs.get_paginator("filter_log_events").paginate(logGroupName=name)
        for page in pages:
            lines = "\n".join(event["message"] for event in page["events"])
            yield f"log {name}", lines.encode()


def stacks_in(cloud: Cloud) -> Iterator[Text]:
    """Each stack's template, parameters, outputs and resources."""
    for stack in cloud.cloudformation.describe_stacks()["Stacks"]:
        name = stack["StackName"]
        yield f"stack {name}", _as_text(stack)
        yield f"template of {name}", _as_text(cloud.cloudformation.get_template(StackName=name))
        resources = cloud.cloudformation.describe_stack_resources(StackName=name)
        yield f"resources of {name}", _as_text(resources)
        yield (
            f"events of {name}",
            _as_text(cloud.cloudformation.describe_stack_events(StackName=name)),
        )


def functions_in(cloud: Cloud) -> Iterator[Text]:
    """Each function's settings, variables included."""
    for page in cloud.lambda_.get_paginator("list_functions").paginate():
        for one in page["Functions"]:
            name = one["FunctionName"]
            told = cloud.lambda_.get_function_configuration(FunctionName=name)
            yield f"function {name}", _as_text(told)


def executions_in(cloud: Cloud) -> Iterator[Text]:
    """Definitions of state machines; input, output and history of their executions."""
    sfn = cloud.stepfunctions
    for machine in sfn.list_state_machines()["stateMachines"]:
        arn = machine["stateMachineArn"]
        yield arn, _as_text(sfn.describe_state_machine(stateMachineArn=arn))
        for one in sfn.list_executions(stateMachineArn=arn)["executions"]:
            name = one["executionArn"]
            yield name, _as_text(sfn.describe_execution(executionArn=name))
            yield f"{name}, history", _as_text(sfn.get_execution_history(executionArn=name))


def messages_in(cloud: Cloud) -> Iterator[Text]:
    """What waits in queues, such as the events of failed runs. They become visible again."""
    sqs: Any = cloud.session.client("sqs", **cloud.where)
    for url in sqs.list_queues().get("QueueUrls", ()):
        yield url, _as_text(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))
        got = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0, AttributeNames=["All"]
        )
        yield f"{url}, messages", _as_text(got)


def alarms_and_dashboards_in(cloud: Cloud) -> Iterator[Text]:
    cloudwatch: Any = cloud.session.client("cloudwatch", **cloud.where)
    yield "alarms", _as_text(cloudwatch.describe_alarms())
    for one in cloudwatch.list_dashboards()["DashboardEntries"]:
        name = one["DashboardName"]
        yield f"dashboard {name}", _as_text(cloudwatch.get_dashboard(DashboardName=name))


def files_in(folder: Path) -> Iterator[Text]:
    """Every file below a folder that can be read."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield str(path), path.read_bytes()


def _as_text(answer: Any) -> bytes:
    """All that an API said, as JSON."""
    return json.dumps(answer, default=str, ensure_ascii=False).encode()
