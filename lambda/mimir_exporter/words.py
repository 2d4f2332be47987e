"""Numbers and their nouns, as messages have them."""


def counted(number: int, noun: str) -> str:
    """`1 window`, `1,440 windows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
