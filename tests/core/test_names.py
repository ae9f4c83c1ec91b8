"""Names and their numbers, as a list and a dictionary would have them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core.book.account_index import Names, NumberOf

texts = st.text(max_size=3) | st.sampled_from(["ann", "bob", "Ä", "é", ""])


@given(st.lists(texts, max_size=200), st.lists(texts, max_size=20))
def test_names_are_numbered_in_order_of_their_first_mention(
    told: list[str], asked: list[str]
) -> None:
    names, right = Names(), list(dict.fromkeys(told))
    assert [names.add(name) for name in told] == [right.index(name) for name in told]
    assert list(names) == right == list(Names(right))
    numbers = NumberOf(names)
    assert dict(numbers) == {name: number for number, name in enumerate(right)}
    for name in asked:
        expected = right.index(name) if name in right else None
        assert numbers.get(name) == expected
        assert (name in numbers) == (expected is not None)
        if expected is None:
            with pytest.raises(KeyError):
                numbers[name]


def test_no_name_has_a_number_outside() -> None:
    names = Names(["ann"])
    for number in (-1, 1):
        with pytest.raises(IndexError):
            names[number]


def test_names_of_one_checksum_are_told_apart() -> None:
    """These two words have the same checksum."""
    names = Names(["plumless", "buckeroo"])
    assert (names.find("plumless"), names.find("buckeroo"), names.find("")) == (0, 1, -1)
