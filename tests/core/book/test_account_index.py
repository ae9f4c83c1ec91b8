"""The index of account names, against a list and a dictionary of the same names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delever.core.book.account_tables import AccountIndex, IndexByName

account_names = st.text(max_size=3) | st.sampled_from(["ann", "bob", "Ä", "é", ""])


@given(st.lists(account_names, max_size=200), st.lists(account_names, max_size=20))
def test_indices_are_assigned_in_order_of_first_addition(
    added: list[str], looked_up: list[str]
) -> None:
    accounts, unique = AccountIndex(), list(dict.fromkeys(added))
    assert [accounts.add(name) for name in added] == [unique.index(name) for name in added]
    assert list(accounts) == unique == list(AccountIndex(unique))
    by_name = IndexByName(accounts)
    assert dict(by_name) == {name: index for index, name in enumerate(unique)}
    for name in looked_up:
        expected = unique.index(name) if name in unique else None
        assert by_name.get(name) == expected
        assert (name in by_name) == (expected is not None)
        if expected is None:
            with pytest.raises(KeyError):
                by_name[name]


def test_an_index_out_of_range_raises() -> None:
    accounts = AccountIndex(["ann"])
    for index in (-1, 1):
        with pytest.raises(IndexError):
            accounts[index]


def test_names_with_equal_checksums_are_distinguished() -> None:
    """The CRC-32 of these two words is the same."""
    accounts = AccountIndex(["plumless", "buckeroo"])
    assert [accounts.find(name) for name in ("plumless", "buckeroo", "")] == [0, 1, -1]
