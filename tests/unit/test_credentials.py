"""Who we are to Mimir: methods, tenants, headers, and the secret that holds them."""

import base64
import itertools
import json
import traceback
from collections.abc import Callable

import pytest
from aws_lambda_powertools.utilities import parameters
from hypothesis import given
from hypothesis import strategies as st

from mimir_exporter.errors import SettingsError, StopRunError
from mimir_exporter.settings.credentials import NAMES, Credentials
from mimir_exporter.source.secret import (
    CredentialSource,
    credential_source,
    secrets_manager_reader,
)
from tests.some import some

TOKEN, BEARER, USERNAME, PASSWORD, TENANT = NAMES
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:mimir-AbCdEf"
METHODS = {
    TOKEN: {TOKEN: "tok"},
    BEARER: {BEARER: "bear"},
    USERNAME: {USERNAME: "me", PASSWORD: "pass"},
}
BASIC = "Basic " + base64.b64encode(b"me:pass").decode()
HEADERS = {
    TOKEN: {"token": "tok", "Content-Type": "application/json"},
    BEARER: {"Authorization": "Bearer bear"},
    USERNAME: {"Authorization": BASIC},
}


def test_the_names_are_those_of_the_integration() -> None:
    assert NAMES == (
        "PROMETHEUS_AUTH_TOKEN",
        "PROMETHEUS_BEARER_AUTH_TOKEN",
        "PROMETHEUS_USERNAME",
        "PROMETHEUS_PASSWORD",
        "PROMETHEUS_X_SCOPE_ORGID",
    )


@pytest.mark.parametrize("tenant", ["", "team-a", "a|b"])
@pytest.mark.parametrize(
    "methods",
    [some for count in range(4) for some in itertools.combinations(METHODS, count)],
    ids=lambda some: "+".join(some) or "none",
)
def test_one_method_at_most_with_or_without_a_tenant(methods: tuple[str, ...], tenant: str) -> None:
    values = {TENANT: tenant}
    for method in methods:
        values |= METHODS[method]
    if len(methods) > 1:
        with pytest.raises(SettingsError, match="configure exactly one method") as caught:
            Credentials.from_values(values, "the environment")
        assert all(method in str(caught.value) for method in some(methods))
        return
    expected = dict(HEADERS[methods[0]]) if methods else {}
    if tenant:
        expected["X-Scope-OrgID"] = tenant
    assert Credentials.from_values(values, "the environment").headers() == expected


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ({}, "none"),
        ({TENANT: "a"}, "none"),
        (METHODS[TOKEN], "token"),
        (METHODS[BEARER], "bearer"),
        (METHODS[USERNAME], "basic"),
    ],
)
def test_a_log_line_can_name_the_method(values: dict[str, str], method: str) -> None:
    assert Credentials.from_values(values, "x").method == method


@pytest.mark.parametrize(
    ("given_one", "other"), [(USERNAME, PASSWORD), (PASSWORD, USERNAME)], ids=["name", "password"]
)
def test_half_of_the_credentials_names_the_missing_half(given_one: str, other: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Credentials.from_values({given_one: "hunter2"}, "the environment")
    assert caught.value.details.code == "incomplete_credentials"
    assert str(caught.value).startswith(f"{given_one} is set in the environment and {other} is not")


def test_a_password_may_hold_letters_of_any_script() -> None:
    headers = Credentials.from_values({USERNAME: "jö", PASSWORD: "пароль:1"}, "x").headers()
    login = base64.b64decode(headers["Authorization"].removeprefix("Basic "))
    assert login.decode() == "jö:пароль:1"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["a\nb", "a\r\nX-Evil: 1", "a\x00b", "a\x7fb", "\ud800"])
def test_nothing_gets_into_a_header_that_would_end_it(name: str, value: str) -> None:
    values = {USERNAME: "me", PASSWORD: "x"} if name in (USERNAME, PASSWORD) else {}
    with pytest.raises(SettingsError, match=f"{name} in the environment"):
        Credentials.from_values({**values, name: value}, "the environment")


@pytest.mark.parametrize("name", [TOKEN, BEARER])
def test_a_token_beyond_latin_1_cannot_be_sent(name: str) -> None:
    with pytest.raises(SettingsError, match="HTTP header"):
        Credentials.from_values({name: "пароль"}, "x")


def test_a_colon_in_the_name_would_move_into_the_password() -> None:
    with pytest.raises(SettingsError, match="colon"):
        Credentials.from_values({USERNAME: "a:b", PASSWORD: "c"}, "x")


@pytest.mark.parametrize(
    "tenant", ["a", "a|b", "a|b|c", "!-_.*'()", "...", "a" * 150, "|".join(["a" * 150] * 3)]
)
def test_tenants_within_mimirs_rules_are_sent_as_they_are(tenant: str) -> None:
    assert Credentials.from_values({TENANT: tenant}, "x").headers() == {"X-Scope-OrgID": tenant}


@pytest.mark.parametrize(
    "tenant", ["a b", "a/b", "a,b", "ä", ".", "..", "a||b", "|", "a|", "|a", "a|..", "a" * 151]
)
def test_tenants_outside_of_mimirs_rules_are_refused(tenant: str) -> None:
    with pytest.raises(SettingsError, match=f"{TENANT} in the environment"):
        Credentials.from_values({TENANT: tenant}, "the environment")


def test_values_are_taken_without_the_space_around_them() -> None:
    assert Credentials.from_values({BEARER: " bear\n"}, "x").bearer == "bear"


@pytest.mark.parametrize("method", METHODS)
def test_no_credentials_are_in_its_repr(method: str) -> None:
    found = Credentials.from_values({**METHODS[method], TENANT: "team"}, "x")
    assert repr(found) == "Credentials(tenant='team')"


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=12), max_size=5))
def test_no_value_is_in_an_error_or_a_repr(values: dict[str, str]) -> None:
    secrets = {name: f"S3CRET{value}" for name, value in values.items() if value}
    try:
        found = Credentials.from_values(secrets, "the environment")
    except SettingsError as error:
        shown = "".join(traceback.format_exception(error))
    else:
        shown = repr(found).replace(f"tenant={found.tenant!r}", "") + found.method
        assert len(found.headers()) <= 3
    assert "S3CRET" not in shown


# The secret


def source_of(text: str, **plain: str) -> CredentialSource:
    return CredentialSource(plain, ARN, lambda _: text)


def test_a_secret_gives_the_credentials() -> None:
    source = source_of(json.dumps({BEARER: "bear", TENANT: "a|b"}))
    assert source.from_secret
    assert source.get().headers() == {"Authorization": "Bearer bear", "X-Scope-OrgID": "a|b"}


def test_the_secret_wins_over_the_environment_name_by_name() -> None:
    source = source_of(json.dumps({TOKEN: "new"}), **{TOKEN: "old", TENANT: "team"})
    assert source.get() == Credentials(token="new", tenant="team")


def test_an_empty_value_in_the_secret_takes_one_of_the_environment_away() -> None:
    source = source_of(json.dumps({TOKEN: "", BEARER: "bear"}), **{TOKEN: "old"})
    assert source.get() == Credentials(bearer="bear")


def test_a_method_in_each_of_both_is_reported_for_both() -> None:
    source = source_of(json.dumps({BEARER: "bear"}), **{TOKEN: "tok"})
    with pytest.raises(SettingsError) as caught:
        source.get()
    text = str(caught.value)
    assert f"{TOKEN} and {BEARER} are set" in text
    assert f"the secret {ARN} and the environment" in text


@pytest.mark.parametrize("text", ["", "{}"])
def test_a_secret_that_is_not_filled_yet_has_no_credentials(text: str) -> None:
    assert source_of(text).get() == Credentials()


def test_refused_credentials_read_the_secret_past_the_cache() -> None:
    forced: list[bool] = []
    texts = iter([json.dumps({BEARER: "old"}), json.dumps({BEARER: "new"})])

    def read(force: bool) -> str:
        forced.append(force)
        return next(texts)

    source = CredentialSource({}, ARN, read)
    assert source.get().bearer == "old"
    assert source.get(refresh=True).bearer == "new"
    assert forced == [False, True]


def test_a_kept_secret_that_cannot_be_used_is_read_again() -> None:
    """An operator who has just fixed it and tries again does not see the old error for minutes."""
    source = CredentialSource({}, ARN, lambda force: json.dumps({BEARER: "new"}) if force else "x")
    assert source.get().bearer == "new"
    broken = CredentialSource({}, ARN, lambda _force: "x")
    with pytest.raises(SettingsError, match="is not JSON"):
        broken.get()


def test_without_a_secret_there_is_nothing_to_read_again() -> None:
    source = credential_source("", {TOKEN: "tok"})
    assert not source.from_secret
    assert source.get(refresh=True) == Credentials(token="tok")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hunter2", "is not JSON"),
        ('{"PROMETHEUS_AUTH_TOKEN": "hunter2"', "is not JSON"),
        ("{'PROMETHEUS_AUTH_TOKEN': 'hunter2'}", "is not JSON"),
        ("[" * 50_000 + "hunter2", "is not JSON"),
        ('"hunter2"', "is not a JSON object"),
        ('["hunter2"]', "is not a JSON object"),
        ("null", "is not a JSON object"),
        ('{"hunter2": "PROMETHEUS_AUTH_TOKEN"}', "a key that is none of its names"),
        ('{"password": "hunter2"}', "a key that is none of its names"),
        ('{"PROMETHEUS_TOKEN": "hunter2"}', "the unknown key 'PROMETHEUS_TOKEN'"),
        ('{"prometheus_auth_token": "hunter2"}', "the unknown key 'prometheus_auth_token'"),
        ('{"PROMETHEUS_AUTH_TOKEN": ["hunter2"]}', f"{TOKEN} is not a string"),
        ('{"PROMETHEUS_AUTH_TOKEN": 5}', f"{TOKEN} is not a string"),
        ('{"PROMETHEUS_X_SCOPE_ORGID": "hunter2=="}', "has the character '='"),
        ('{"PROMETHEUS_AUTH_TOKEN": "hunter2\\n1"}', "HTTP header"),
        ('{"PROMETHEUS_PASSWORD": "hunter2"}', f"{USERNAME} is not"),
    ],
)
def test_a_secret_that_cannot_be_used_is_explained_without_a_word_of_it(
    text: str, says: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        source_of(text).get()
    message = str(caught.value)
    assert says in message
    assert ARN in message
    assert "\n" not in message
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "hunter2" not in shown


def refuse(*_: object, **__: object) -> str:
    raise parameters.GetParameterError("AccessDeniedException: not authorized\nmore") from KeyError


def test_a_secret_that_cannot_be_read_stops_the_run_with_what_to_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parameters, "get_secret", refuse)
    with pytest.raises(StopRunError) as caught:
        credential_source(ARN, {}).get()
    text = str(caught.value)
    assert text.startswith(f"Cannot read the secret {ARN} (KeyError: AccessDeniedException")
    assert "AUTH_SECRET_ARN" in text
    assert "\n" not in text


def test_secrets_manager_is_not_waited_for_five_minutes() -> None:
    """As boto3 does by itself where the VPC has no endpoint for it."""
    with pytest.raises(StopRunError):  # no server is there
        secrets_manager_reader(ARN)(False)
    config = parameters.base.DEFAULT_PROVIDERS.pop("secrets").client.meta.config  # type: ignore[attr-defined]
    attempts = config.retries["total_max_attempts"]
    assert attempts * max(config.connect_timeout, config.read_timeout) <= 60


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("value", "text"), [("{}", "{}"), (b'{"a": 1}', '{"a": 1}'), (b"\xff", "\ufffd")]
)
def test_text_and_bytes_come_through_powertools_whose_cache_force_skips(
    monkeypatch: pytest.MonkeyPatch, force: bool, value: str | bytes, text: str
) -> None:
    asked: list[tuple[str, bool]] = []

    def get_secret(name: str, *, force_fetch: bool) -> str | bytes:
        asked.append((name, force_fetch))
        return value

    monkeypatch.setattr(parameters, "get_secret", get_secret)
    read: Callable[[bool], str] = secrets_manager_reader(ARN)
    assert read(force) == text
    assert asked == [(ARN, force)]
