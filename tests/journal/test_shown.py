"""What is published after any step is what a book that never published anything would show."""

from hypothesis import given
from sessions import sessions

from delever.core.book import Book
from delever.core.engine import step
from delever.core.messages import Command
from delever.core.publishing import publish
from delever.journal.snapshot import decode_book, encode_book


@given(sessions())
def test_lanes_that_are_not_ranked_again_show_what_they_would(commands: list[Command]) -> None:
    book = Book()
    for command in commands:
        step(book, command)
        shown = publish(book)
        anew = publish(decode_book(encode_book(book)))
        assert shown.as_of == anew.as_of
        assert {key: (lane.digest(), lane.rank.tolist()) for key, lane in shown.lanes.items()} == {
            key: (lane.digest(), lane.rank.tolist()) for key, lane in anew.lanes.items()
        }
