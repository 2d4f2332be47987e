"""The search for secrets that the integration and end-to-end tests rest on: it must find each."""

import base64
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest

from tests.leaks import leaks

SECRETS = ("glsa_a-token/of:the+tests", 'hunter2-ü-"quoted"-and-\\slashed')


def archive(text: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("first.txt", b"nothing")
        file.writestr("second.json", gzip.compress(text))
    return packed.getvalue()


def basic(secret: str, user: str) -> str:
    return base64.b64encode(f"{user}:{secret}".encode()).decode()


SPELLED: dict[str, Callable[[str], bytes]] = {
    "as it stands": lambda one: one.encode(),
    "in JSON": lambda one: json.dumps({"error": f"refused {one}"}).encode(),
    "in JSON, other scripts as they are": lambda one: json.dumps(one, ensure_ascii=False).encode(),
    "in JSON in JSON": lambda one: json.dumps({"line": json.dumps({"error": one})}).encode(),
    "in a dictionary of Python": lambda one: repr({"token": one}).encode(),
    "in an exception": lambda one: repr(ValueError(f"{one} is wrong")).encode(),
    "in a URL": lambda one: f"http://exporter:{quote(one, safe='')}@mimir".encode(),
    "in a form": lambda one: urlencode({"password": one}).encode(),
    "in a Basic login": lambda one: basic(one, "exporter").encode(),
    "of another user": lambda one: basic(one, "123456").encode(),
    "of a third": lambda one: basic(one, "me").encode(),
    "in a JWT": lambda one: base64.urlsafe_b64encode(json.dumps({"a": one}).encode()),
    "in a file of gzip": lambda one: gzip.compress(json.dumps({"pod": one}).encode()),
    "in an archive": lambda one: archive(one.encode()),
}


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("spelled", SPELLED)
def test_a_secret_is_found_in_every_form(spelled: str, secret: str) -> None:
    text = SPELLED[spelled](secret)
    (found, *_) = leaks(SECRETS, [("before", b"nothing"), ("here", text), ("behind", b"")])
    assert found.startswith("here")


@pytest.mark.parametrize(
    "text",
    [b"", b"glsa_another-token", b"hunter2", basic("another", "exporter").encode(), bytes(300)],
)
def test_what_is_none_is_not_found(text: bytes) -> None:
    assert leaks(SECRETS, [("here", text), ("packed", gzip.compress(text))]) == []
    assert leaks((), [("here", SECRETS[0].encode())]) == []


def test_the_place_is_named_and_only_the_first_are_listed() -> None:
    said = [(f"line {number}", SECRETS[0].encode()) for number in range(100)]
    found = leaks(SECRETS, said)
    assert found[0].startswith("line 0: ")
    assert len(found) == 20
