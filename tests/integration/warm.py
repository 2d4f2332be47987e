"""Imported once by the process that workers are forked from: what each would read first.

Making a client takes most of a second the first time, for the descriptions of the services.
"""

import os

from tests.integration.sandbox import session_of

for _service in ("s3", "stepfunctions"):
    session_of(os.environ["AWS_ACCESS_KEY_ID"]).client(_service)
