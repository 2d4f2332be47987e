"""ca_bundle: a file of this machine that ships with the function."""

from pathlib import Path

import pytest

from infra.deployment.certificates import CA_BUNDLE_FILE
from infra.deployment.read import read_deployment
from infra.errors import DeploymentError
from infra.package import Source, build_package
from localcloud.certificates import Certificate, make_authority
from tests.conftest import NeedProgram
from tests.infra.base_settings import context


@pytest.fixture
def authority(need_program: NeedProgram, tmp_path: Path) -> Certificate:
    need_program("openssl")
    return make_authority(tmp_path, "our-own-authority")


def test_the_bundle_ships_and_the_function_gets_its_name(authority: Certificate) -> None:
    deployment = read_deployment(context(scheme="https", ca_bundle=str(authority.certificate)), {})
    assert deployment.ca_bundle == authority.certificate.read_text("utf-8")
    assert deployment.environment["CA_BUNDLE"] == CA_BUNDLE_FILE
    assert deployment.settings.ca_bundle == CA_BUNDLE_FILE


def test_without_one_nothing_ships() -> None:
    deployment = read_deployment(context(), {})
    assert deployment.ca_bundle == ""
    assert "CA_BUNDLE" not in deployment.environment


def test_it_lies_beside_the_package_and_a_new_one_is_a_new_package(tmp_path: Path) -> None:
    source = tmp_path / "lambda"
    (source / "mimir_exporter").mkdir(parents=True)
    (source / "requirements.txt").write_text("", "utf-8")

    def build(*texts: str) -> Path:
        return build_package(
            architecture="arm64",
            python_version="3.14",
            beside=dict(zip([CA_BUNDLE_FILE], texts, strict=False)),
            source=Source(source / "mimir_exporter", source / "requirements.txt"),
            build=tmp_path / "build",
        ).path

    first, second, none = build("one"), build("two"), build()
    assert len({first, second, none}) == 3
    assert (first / CA_BUNDLE_FILE).read_text("utf-8") == "one"
    assert (second / CA_BUNDLE_FILE).read_text("utf-8") == "two"
    assert not (none / CA_BUNDLE_FILE).exists()
    assert (first / CA_BUNDLE_FILE).parent == (first / "mimir_exporter").parent


def refusal(path: Path, **settings: object) -> str:
    with pytest.raises(DeploymentError) as caught:
        read_deployment(context(**{"scheme": "https", "ca_bundle": str(path), **settings}), {})
    return str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    said = refusal(tmp_path / "none.pem")
    assert said.startswith(
        f"Invalid ca_bundle '{tmp_path / 'none.pem'}' (No such file or directory):"
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nbroken\n-----END CERTIFICATE-----\n", "a broken one"),
        (b"\x30\x82\xff\xfe", "DER"),
    ],
)
def test_a_file_that_holds_something_else_is_refused(
    content: bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    assert says in refusal(path)


def test_a_private_key_never_ships(authority: Certificate, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(
        authority.certificate.read_text("utf-8") + authority.key.read_text("utf-8"), "utf-8"
    )
    said = refusal(both)
    assert "a private key too, which must not ship" in said
    assert "BEGIN" not in said


def test_a_bundle_without_tls_is_a_mistake(authority: Certificate) -> None:
    said = refusal(authority.certificate, scheme="http")
    assert said == (
        "Conflicting settings: CA_BUNDLE (cdk.json: ca_bundle) is set, and SCHEME (cdk.json: "
        "scheme) is http; set SCHEME=https [conflicting_settings]"
    )
