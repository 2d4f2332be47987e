"""TLS to Mimir, against a real nginx: who is trusted, and what is said to whom is not."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.certificates import Certificate, make_authority, make_certificate
from localcloud.nginx import Site, running_nginx
from localcloud.prometheus import Prometheus
from mimir_exporter.errors import ExportError, SettingsError
from mimir_exporter.source import tls
from tests.conftest import NeedProgram
from tests.integration.conftest import MakeFunction
from tests.integration.deployment import FEW, Function

HERE = "IP:127.0.0.1"
ELSEWHERE = "DNS:mimir.example.com,IP:192.0.2.1"
BEARER = "the-bearer-behind-tls"


@pytest.fixture(scope="module")
def authority(need_program: NeedProgram, tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    need_program("openssl")
    return make_authority(tmp_path_factory.mktemp("authority"), "our-own-authority")


@pytest.fixture(scope="module")
def certificates(authority: Certificate) -> Mapping[str, Certificate]:
    folder = authority.certificate.parent
    return {
        "good": make_certificate(folder, "good", names=HERE, authority=authority, days=90),
        "old soon": make_certificate(folder, "soon", names=HERE, authority=authority, days=3),
        "other host": make_certificate(folder, "other", names=ELSEWHERE, authority=authority),
        "expired": make_certificate(folder, "old", names=HERE, authority=authority, days=-1),
        "self-signed": make_certificate(folder, "self", names=HERE, authority=None),
    }


@pytest.fixture(scope="module")
def ports(
    need_program: NeedProgram, certificates: Mapping[str, Certificate], mimir: Prometheus
) -> Iterator[Mapping[str, int]]:
    """A port of nginx for each certificate, and one without TLS."""
    need_program("nginx")
    upstream = f"http://127.0.0.1:{mimir.port}"
    rules = f'if ($http_authorization != "Bearer {BEARER}") {{ return 401; }}'
    sites = {name: Site(upstream, rules, one) for name, one in certificates.items()}
    with running_nginx(sites | {"plain": Site(upstream, rules)}) as ports:
        yield ports


@pytest.fixture
def behind_tls(
    make_function: MakeFunction, ports: Mapping[str, int], authority: Certificate
) -> Function:
    """Asks the good one, and trusts who signed it."""
    function = make_function(
        PORT=str(ports["good"]),
        SCHEME="https",
        CA_BUNDLE=str(authority.certificate),
        PROMETHEUS_BEARER_AUTH_TOKEN=BEARER,
    )
    return replace(function, metrics=FEW)


def test_an_authority_of_ones_own_is_trusted(behind_tls: Function, mimir: Prometheus) -> None:
    assert behind_tls.export()["outcome"] == "complete"
    assert behind_tls.differences(mimir, 1) == []
    report = behind_tls.export({"action": "check"})
    assert report["outcome"] == "ready"


def test_the_bundle_that_ships_lies_beside_the_package(
    behind_tls: Function, authority: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever Lambda starts the function from."""
    assert (tls._SHIPPED / "mimir_exporter" / "handler.py").is_file()
    monkeypatch.setattr(tls, "_SHIPPED", authority.certificate.parent)
    shipped = behind_tls.with_env(CA_BUNDLE=authority.certificate.name)
    assert shipped.export()["outcome"] == "complete"


def test_several_cas_may_be_in_one_file(
    behind_tls: Function, authority: Certificate, tmp_path: Path
) -> None:
    """The old and the new one, while certificates are being replaced."""
    other = make_authority(tmp_path, "the-next-authority")
    both = tmp_path / "both.pem"
    both.write_text(
        other.certificate.read_text("utf-8") + authority.certificate.read_text("utf-8"), "utf-8"
    )
    assert behind_tls.with_env(CA_BUNDLE=str(both)).export()["outcome"] == "complete"


def test_a_certificate_that_signs_itself_can_be_the_bundle(
    behind_tls: Function, ports: Mapping[str, int], certificates: Mapping[str, Certificate]
) -> None:
    one = str(certificates["self-signed"].certificate)
    pinned = behind_tls.with_env(PORT=str(ports["self-signed"]), CA_BUNDLE=one)
    assert pinned.export()["outcome"] == "complete"


def test_check_reports_how_long_the_certificate_lasts(
    behind_tls: Function, ports: Mapping[str, int]
) -> None:
    def found(site: str) -> tuple[str, str, str]:
        report = behind_tls.with_env(PORT=str(ports[site])).export({"action": "check"})
        (one,) = [one for one in report["findings"] if one["what"] == "certificate"]
        return one["level"], one["summary"], one["remedy"]

    level, text, change = found("good")
    assert (level, change) == ("ok", "")
    assert text.startswith("verified, valid until 20")
    level, text, change = found("old soon")
    assert level == "warning"
    assert text.endswith((", in 2 days", ", in 3 days"))
    assert change.startswith("renew it on the server")


def assert_refused(function: Function, *says: str) -> None:
    """Nothing is exported, nothing waits, and run and check report the same message."""
    with pytest.raises(ExportError) as caught:
        function.export()
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith("]")
    for words in says:
        assert words in text
    assert function.file_keys() == {}
    report = function.export({"action": "check"})
    assert report["outcome"] == "not_ready"
    (finding,) = [one for one in report["findings"] if one["what"] == "endpoint"]
    parts = {part: finding[part] for part in ("code", "summary", "cause", "remedy")}
    assert parts == caught.value.details.as_dict()
    assert finding["remedy"]


@pytest.mark.parametrize(
    ("site", "says"),
    [
        ("other host", ("is for another host", "set HOSTNAME to a name in the certificate")),
        ("expired", ("has expired", "renew it on the server")),
        ("self-signed", ("signed by a CA that is not in CA_BUNDLE", "add the certificate of")),
    ],
)
def test_a_wrong_certificate_is_one_sentence(
    site: str, says: tuple[str, ...], behind_tls: Function, ports: Mapping[str, int]
) -> None:
    port = ports[site]
    wrong = behind_tls.with_env(PORT=str(port))
    assert_refused(wrong, f"The certificate of https://127.0.0.1:{port}", *says)


def test_without_a_bundle_only_the_systems_authorities_count(
    behind_tls: Function, ports: Mapping[str, int]
) -> None:
    for site in ("good", "self-signed"):
        unknown = behind_tls.with_env(PORT=str(ports[site]), CA_BUNDLE="")
        assert_refused(unknown, "signed by an unknown CA", "CA_BUNDLE (ca_bundle in a deployment)")


def test_the_bundle_replaces_the_systems_authorities(behind_tls: Function, tmp_path: Path) -> None:
    other = make_authority(tmp_path, "another-authority").certificate
    assert_refused(behind_tls.with_env(CA_BUNDLE=str(other)), "a CA that is not in CA_BUNDLE")


def test_plain_http_to_a_port_of_tls(behind_tls: Function) -> None:
    plain = behind_tls.with_env(SCHEME="http", CA_BUNDLE="")
    assert_refused(plain, "expects HTTPS", "set SCHEME=https")


def test_tls_to_a_plain_port(behind_tls: Function, ports: Mapping[str, int]) -> None:
    for port in (ports["plain"], int(behind_tls.cloud.endpoint.rpartition(":")[2])):
        tls = behind_tls.with_env(PORT=str(port))
        assert_refused(tls, "does not use HTTPS", "set SCHEME=http, or set PORT")


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), ("", "no certificate"), ("x", "no certificate")]
)
def test_a_bundle_that_is_none(
    content: str | None, says: str, behind_tls: Function, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content, "utf-8")
    with pytest.raises(SettingsError, match=says) as caught:
        behind_tls.with_env(CA_BUNDLE=str(path)).export()
    assert str(path) in str(caught.value)
    assert "expected a file of PEM certificates" in str(caught.value)
