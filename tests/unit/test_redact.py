"""No secret is readable in a text that went through `hide`, however it is spelled there."""

import base64
import html
import json
import random
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.settings.credentials import (
    BEARER,
    CLIENT_ID,
    CLIENT_SECRET,
    HTTP_HEADERS,
    PASSWORD,
    PROXY_URL,
    TOKEN,
    TOKEN_URL,
    USERNAME,
    Credentials,
)
from mimir_exporter.source.redact import hide

ODD = 'pa/ss "wörd" & <more>\\+%=\'~'

Spell = Callable[[str], str]


def each(spell: Spell) -> Spell:
    return lambda text: "".join(map(spell, text))


def unit(form: str) -> Spell:
    """Each UTF-16 unit as an escape of JSON."""

    def spell(character: str) -> str:
        raw = character.encode("utf-16-be")
        pairs = [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]
        return "".join(form % pair for pair in pairs)

    return each(spell)


# As Go escapes HTML in JSON.
def go_json(text: str) -> str:
    plain = json.dumps(text, ensure_ascii=False)
    return plain.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


SPELLINGS: dict[str, Spell] = {
    "as it is": str,
    "JSON": lambda text: json.dumps(text, ensure_ascii=False),
    "ASCII JSON": json.dumps,
    "PHP's JSON": lambda text: json.dumps(text).replace("/", r"\/"),
    "Go's JSON": go_json,
    "JSON, + escaped": lambda text: json.dumps(text).replace("+", r"\u002B"),
    "JSON of units, lower case": unit(r"\u%04x"),
    "JSON of units, upper case": unit(r"\u%04X"),
    "JSON within JSON": lambda text: json.dumps(json.dumps(text)),
    "a path": quote,
    "a URL": lambda text: quote(text, safe=""),
    "a URL in lower case": lambda text: quote(text, safe="").replace("%2B", "%2b"),
    "a form": quote_plus,
    "a URL within a URL": lambda text: quote(quote(text, safe=""), safe=""),
    "bytes in percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "Latin-1 in a URL": lambda text: quote(text, safe="", encoding="latin-1"),
    "a page": html.escape,
    "a page within a page": lambda text: html.escape(html.escape(text)),
    "entities": each(lambda character: f"&#{ord(character)};"),
    "entities in hex": each(lambda character: f"&#x{ord(character):X};"),
    "a page in JSON": lambda text: json.dumps(html.escape(text)),
    "JSON in a page": lambda text: html.escape(json.dumps(text)),
    "JSON in a URL": lambda text: quote(json.dumps(text), safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of a URL": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 within another text": lambda text: base64.b64encode(f"x:{text}".encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, upper case": lambda text: text.encode().hex().upper(),
    "Latin-1 read as UTF-8": lambda text: text.encode("latin-1").decode("utf-8", "replace"),
    "UTF-8 read as Latin-1": lambda text: text.encode().decode("latin-1"),
    "cut off": lambda text: text[:-5],
}
METHODS = {
    "token": {TOKEN: ODD},
    "bearer": {BEARER: ODD},
    "basic": {USERNAME: "me", PASSWORD: ODD},
    "OAuth 2": {CLIENT_ID: "me", CLIENT_SECRET: ODD, TOKEN_URL: "https://id/token"},
    "headers": {HTTP_HEADERS: json.dumps({"CF-Access-Client-Secret": ODD})},
    "proxy": {PROXY_URL: f"http://me:{quote(ODD, safe='')}@proxy:3128"},
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
def test_each_method_is_hidden_in_each_spelling(method: dict[str, str], spell: Spell) -> None:
    found = Credentials.from_values(method, "x")
    said = hide(f"refused <{spell(ODD)}> of me", found.secrets)
    assert said.startswith("refused <")
    assert said.endswith("> of me")
    shown = said.removeprefix("refused <").removesuffix("> of me")
    assert "***" in shown
    # At most the quotes around it, or what base64 mixes with its neighbours.
    assert len(shown.replace("***", "").replace("&quot;", "").replace("%22", "")) <= 6


@pytest.mark.parametrize("method", ["basic", "OAuth 2"])
def test_what_is_sent_for_it_is_hidden_too(method: str) -> None:
    found = Credentials.from_values(METHODS[method], "x")
    for sent in [value for value in found.secrets if value != ODD]:
        assert hide(f"[{sent}]", found.secrets) == "[***]"
        assert hide(f"[{quote(sent, safe='')}]", found.secrets) == "[***]"


@given(
    st.text(st.characters(codec="utf-8"), min_size=12, max_size=30),
    st.lists(st.sampled_from([str, *(SPELLINGS[name] for name in list(SPELLINGS)[6:16])])),
)
def test_a_secret_is_hidden_in_a_mixture_of_spellings(secret: str, spells: list[Spell]) -> None:
    """Some characters escaped, others not: as each server does it."""
    chosen = random.Random(len(spells))
    entity = each(lambda one: f"&#{ord(one)};")
    ways: list[Spell] = [str, unit(r"\u%04x"), entity, lambda text: quote(text, safe="")]
    spelled = "".join(chosen.choice(ways)(character) for character in secret)
    if any(mark in secret for mark in "\\%&+;#"):
        return  # what a secret has of these marks may be read as an escape of its neighbour
    assert hide(f"<{spelled}>", [secret]) == "<***>"


def test_other_text_stays() -> None:
    text = "connection refused by 10.0.0.7: \\u0041 %41 &amp; eyJh"
    assert hide(text, ["a-secret-of-mine", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9"]) == text
    assert hide(text, []) == text
    assert hide("", ["x"]) == ""


@pytest.mark.parametrize("piece", ["eyJ", "\\", "&amp;", "%25", "a", "\\u00"])
def test_no_text_makes_it_slow(piece: str) -> None:
    started = time.process_time()
    hide(piece * (8192 // len(piece)), ["eyJhbGciOi" * 150, "\\x&" * 50, "a" * 2000, "%2" * 60])
    assert time.process_time() - started < 10
