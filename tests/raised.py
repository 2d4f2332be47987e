"""pytest.raises for an error of a kind: by its code, not by its words."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mimir_exporter.errors import ErrorKind, ExportError


@contextmanager
def raises(kind: ErrorKind[ExportError]) -> Iterator[pytest.ExceptionInfo[ExportError]]:
    """The block raises an error of this kind and class."""
    with pytest.raises(kind.error) as caught:
        yield caught
    assert caught.value.details.code == kind.code
