"""What ships in the function. The first test really installs: some seconds and the network."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra import ROOT
from infra.errors import PackageError
from infra.package import (
    AWS_SERVICES,
    DISTRIBUTION,
    Package,
    Source,
    build_package,
    wheel_platforms,
)

AARCH64 = 183  # e_machine of an ELF file: EM_AARCH64


@pytest.fixture(scope="module")
def built() -> Package:
    """The package as cdk.json has it, under build/, where `cdk synth` finds it again."""
    return build_package(architecture="arm64", python_version="3.14")


def test_native_code_is_of_the_function_s_platform(built: Package) -> None:
    libraries = list(built.path.rglob("*.so"))
    assert {library.relative_to(built.path).parts[0] for library in libraries} == {
        "isal",
        "obstore",
    }
    for library in libraries:
        # obstore's is for every Python from 3.11 on, GIL included.
        assert ".cpython-314-aarch64-" in library.name or library.name == "_obstore.abi3.so"
        assert int.from_bytes(library.read_bytes()[18:20], "little") == AARCH64


def test_everything_pinned_is_in_it_with_its_licence(built: Package) -> None:
    lines = (ROOT / "lambda" / "requirements.txt").read_text("utf-8").splitlines()
    pinned = {line.split("==")[0].replace("-", "_") for line in lines if "==" in line}
    shipped = {path.stem.rsplit("-", 1)[0] for path in built.path.glob("*.dist-info")}
    assert shipped == pinned | {DISTRIBUTION}
    assert (built.path / "mimir_exporter" / "catalog" / "catalog.toml").is_file()


def test_every_licence_is_stated(built: Package) -> None:
    for info in built.path.glob("*.dist-info"):
        if not info.name.startswith(DISTRIBUTION):
            metadata = (info / "METADATA").read_text("utf-8")
            assert "License" in metadata


def test_what_no_run_reads_stays_out(built: Package) -> None:
    assert not list(built.path.rglob("__pycache__"))
    assert not (built.path / "bin").exists()
    models = {path.name for path in (built.path / "botocore" / "data").iterdir() if path.is_dir()}
    assert models == AWS_SERVICES
    size = sum(path.stat().st_size for path in built.path.rglob("*") if path.is_file())
    assert size < 30e6


def test_the_aws_clients_that_the_exporter_makes_can_be_made_from_it(built: Package) -> None:
    """boto3 is pure Python, so this Python can load what was built for another."""
    program = (
        "import boto3, botocore\n"
        f"assert botocore.__file__.startswith({str(built.path)!r})\n"
        f"[boto3.client(name, region_name='eu-central-1') for name in {sorted(AWS_SERVICES)}]\n"
    )
    done = subprocess.run(  # noqa: S603 - a program of this file
        [sys.executable, "-B", "-c", program],
        env={"PYTHONPATH": str(built.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_lambda_s_own_user_can_read_it(built: Package) -> None:
    for path in built.path.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A function without dependencies, so that nothing is downloaded."""
    folder = tmp_path / "lambda"
    (folder / "mimir_exporter").mkdir(parents=True)
    (folder / "mimir_exporter" / "handler.py").write_text("one = 1\n", "utf-8")
    (folder / "requirements.txt").write_text("", "utf-8")
    return folder


def build(source: Path, folder: Path) -> Package:
    return build_package(
        architecture="arm64",
        python_version="3.14",
        source=Source(source / "mimir_exporter", source / "requirements.txt"),
        build=folder / "build",
    )


def test_the_same_source_is_built_once_and_a_changed_one_anew(source: Path, tmp_path: Path) -> None:
    first = build(source, tmp_path)
    (first.path / "mark").touch()
    assert build(source, tmp_path) == first
    assert (first.path / "mark").exists()
    (source / "mimir_exporter" / "handler.py").write_text("one = 2\n", "utf-8")
    changed = build(source, tmp_path)
    assert changed.hash != first.hash
    assert (changed.path / "mimir_exporter" / "handler.py").read_text("utf-8") == "one = 2\n"


def test_the_hash_is_of_the_source_alone(source: Path, tmp_path: Path) -> None:
    """Not of this machine, the folder, or the time."""
    first = build(source, tmp_path / "one")
    cache = source / "mimir_exporter" / "__pycache__"
    cache.mkdir()
    (cache / "handler.cpython-311.pyc").write_text("", "utf-8")
    assert build(source, tmp_path / "another").hash == first.hash


def test_an_interrupted_build_is_not_taken_for_a_whole_one(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("infra.package._leave_out_needless", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(source, tmp_path)
    assert not list((tmp_path / "build").iterdir())
    assert (build(source, tmp_path).path / "mimir_exporter" / "handler.py").exists()


def test_a_dependency_without_a_hash_is_one_sentence(source: Path, tmp_path: Path) -> None:
    (source / "requirements.txt").write_text("six==1.17.0\n", "utf-8")
    with pytest.raises(PackageError, match=r"could not be installed.*--require-hashes") as raised:
        build(source, tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("architecture", "python_version", "newest"),
    [
        ("arm64", "3.14", "manylinux_2_34_aarch64"),
        ("arm64", "3.13", "manylinux_2_34_aarch64"),
        ("x86_64", "3.12", "manylinux_2_34_x86_64"),
        ("x86_64", "3.11", "manylinux_2_26_x86_64"),
    ],
)
def test_wheels_are_no_newer_than_the_runtime_s_libc(
    architecture: str, python_version: str, newest: str
) -> None:
    """Amazon Linux 2023 has glibc 2.34, Amazon Linux 2 has 2.26."""
    platforms = wheel_platforms(architecture, python_version)
    assert platforms[0] == newest
    assert newest.replace("2_34", "2_17").replace("2_26", "2_17") in platforms
