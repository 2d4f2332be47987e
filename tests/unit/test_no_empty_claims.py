"""No test passes because there was nothing to look at."""

import ast
from pathlib import Path

import pytest

from tests.some import some

TESTS = Path(__file__).resolve().parents[1]


def empty_claims(source: str) -> list[int]:
    """Lines that claim something of all of what may be nothing: `all` over a variable iterable
    that is not within `some`, and a list compared with a copy that has its own length."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Assert):
            continue
        claim = node.test
        if isinstance(claim, ast.Call) and getattr(claim.func, "id", "") == "all":
            (things,) = claim.args
            if isinstance(things, ast.GeneratorExp | ast.ListComp):
                things = things.generators[0].iter
            within = isinstance(things, ast.Call) and getattr(things.func, "id", "") == "some"
            if not within and not isinstance(things, ast.Tuple | ast.List | ast.Set):
                found.append(node.lineno)
        if isinstance(claim, ast.Compare):
            left, right = ast.unparse(claim.left), ast.unparse(claim.comparators[0])
            if right.startswith("[") and right.endswith(f"* len({left})"):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.stem)
def test_no_claim_is_made_of_what_may_be_nothing(path: Path) -> None:
    assert empty_claims(path.read_text("utf-8")) == []


def test_such_claims_are_found() -> None:
    for wrong in ("all(x for x in lines)", "all(lines)", "oldest == [1] * len(oldest)"):
        assert empty_claims(f"assert {wrong}") == [1]
    for right in ("all(x for x in some(lines))", "all((a, b))", "oldest == [1] * len(newest)"):
        assert empty_claims(f"assert {right}") == []


def test_some_of_nothing_fails() -> None:
    assert list(some([1, 2])) == [1, 2]
    with pytest.raises(AssertionError, match="nothing was looked at"):
        list(some([]))
