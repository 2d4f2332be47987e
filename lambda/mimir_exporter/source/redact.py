"""Removing secrets from text, however they are spelled in it. Pure.

Gateways return in an error what they were sent: as it is, or as JSON, a URL or a page spells it,
each of which has several spellings of one character, or as base64. So a secret is looked for
character by character, each in any of its spellings. To be used on the final text: what is decoded
afterwards may hold a spelling that the undecoded text did not have.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache

MASK = "***"
# The beginning of a longer secret is hidden too: a server may truncate what it quotes.
LEAST_CHARACTERS = 8
_JSON_ESCAPES = {
    '"': '"',
    "/": "/",
    "\b": "b",
    "\f": "f",
    "\n": "n",
    "\r": "r",
    "\t": "t",
    "'": "'",
}
# Of a percent sign or an ampersand that is itself escaped once more.
_PERCENT = r"(?:%(?:25){0,4}|\\{1,8}u0025)"
# JSON within JSON doubles them each time.
_BACKSLASHES = rf"(?:\\{{1,8}}|(?:{_PERCENT}5c){{1,8}})"
_ESCAPED = f"{_BACKSLASHES}?"  # by JSON, before another escapes that
_AMPERSAND = r"(?:(?:&|\\{1,8}u0026|%26)(?:amp;){0,4})"


def hide(text: str, secrets: Iterable[str]) -> str:
    """The text with a mask in place of each of these."""
    wanted = {form for secret in secrets if secret for form in _forms(secret)}
    forms = sorted(wanted, key=len, reverse=True)
    # Whole ones first: the beginning of one form may be that of another.
    for form in forms:
        text = _hide_one(text, form, len(form))
    for form in forms:
        text = _hide_one(text, form, LEAST_CHARACTERS)
    return text


def _hide_one(text: str, secret: str, least: int) -> str:
    """The text without the secret, or `least` characters or more of its beginning."""
    if not text:
        return text
    spellings = [_spellings(character) for character in secret]
    parts: list[str] = []
    begin = at = 0
    while found := spellings[0].search(text, at):
        matched, end = _match(text, spellings, found.start())
        if matched >= least:
            parts += [text[begin : found.start()], MASK]
            begin = at = end
        else:
            at = found.start() + 1
    return "".join(parts) + text[begin:]


def _match(text: str, spellings: list[re.Pattern[str]], at: int) -> tuple[int, int]:
    """How many characters of a secret are at a position, and where they end."""
    ends, backslash = {at}, _spellings("\\")
    for count, spelling in enumerate(spellings):
        following = {found.end() for end in ends if (found := spelling.match(text, end))}
        if spelling == backslash:
            # It may end anywhere in a run of them: the next character's escape begins there.
            following |= {
                end + length
                for end in ends
                for length in (1, 2, 4)
                if text.startswith("\\" * length, end)
            }
        if not following:
            return count, max(ends)
        ends = following
    return len(spellings), max(ends)


def _forms(secret: str) -> Iterator[str]:
    """The secret itself, and as base64 and hexadecimal, also in the middle of a longer text."""
    yield secret
    raw = secret.encode("utf-8", "surrogatepass")
    if len(raw) < LEAST_CHARACTERS:
        return
    yield raw.hex()
    yield raw.hex().upper()
    for offset in range(3):
        # Six bits a character: those that the text before and behind it decides are left out.
        coded = base64.b64encode(bytes(offset) + raw).decode().rstrip("=")
        coded = coded[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]
        yield coded
        yield coded.replace("+", "-").replace("/", "_")


@lru_cache(512)
def _spellings(character: str) -> re.Pattern[str]:
    code = ord(character)
    units = character.encode("utf-16-be", "surrogatepass").hex()
    escapes = "".join(rf"{_BACKSLASHES}u{units[at : at + 4]}" for at in range(0, len(units), 4))
    raw = character.encode("utf-8", "surrogatepass")
    escaped = _ESCAPED if character == "\\" or character in _JSON_ESCAPES else ""
    ways = [
        escapes,
        rf"{_BACKSLASHES}u\{{?0{{0,6}}{code:x}\}}?",
        rf"{_BACKSLASHES}x{code:02x}",
        escaped + "".join(f"{_PERCENT}{byte:02x}" for byte in raw),
        rf"{escaped}{_AMPERSAND}#0{{0,6}}{code};?",
        rf"{escaped}{_AMPERSAND}#x0{{0,6}}{code:x};?",
        *(rf"{escaped}{_AMPERSAND}{name};?" for name in sorted(_named().get(character, ()))),
    ]
    if character == "\\":
        ways.append(_BACKSLASHES)
    elif character in _JSON_ESCAPES:
        ways.append(_BACKSLASHES + re.escape(_JSON_ESCAPES[character]))
    if character == " ":
        ways.append(r"\+|\s{1,20}")
    if not character.isascii():
        # Latin-1 in a URL, UTF-8 read as Latin-1, Latin-1 read as UTF-8.
        if code < 0x100:
            ways.append(f"{_PERCENT}{code:02x}")
        ways += [re.escape(raw.decode("latin-1")), "\ufffd{1,4}"]
    # The character itself comes last, as a spelling may begin with it. Case counts only there.
    return re.compile(f"(?i:{'|'.join(ways)})|{re.escape(character)}")


@cache
def _named() -> Mapping[str, set[str]]:
    """The names that a page may have for a character; of no use to a run that hides nothing."""
    import html.entities  # noqa: PLC0415 - see above

    names: dict[str, set[str]] = {}
    for name, value in html.entities.html5.items():
        if len(value) == 1:
            names.setdefault(value, set()).add(name.rstrip(";").lower())
    return names
