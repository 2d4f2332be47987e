"""The pure parts fed with anything: what comes out means what went in, or it is refused."""

import random
from typing import Any

from hypothesis import strategies as st

from tests.torture.conftest import Record
from tests.torture.search import search
from tests.unit import answers


def test_no_damaged_answer_is_split_wrongly(budget_s: float, seed: int, record: Record) -> None:
    """Answers with bytes flipped, lost, doubled or replaced by syntax, in blocks cut anywhere."""

    def check(matrix: list[Any], chance: int, points: list[int]) -> None:
        whole = answers.answer(matrix)
        text = answers.damage(whole, random.Random(chance))
        record(f"damaged answers, {answers.judge(text, points, whole, matrix)}", 1)

    made = search(
        check,
        budget_s,
        seed,
        matrix=st.one_of(st.just(answers.SMALL), answers.matrices),
        chance=answers.seeds,
        points=st.lists(st.integers(0, 3000), max_size=6),
    )
    assert made
