"""The one mutable object: tables, contract and pool state; `Book.apply(event)` changes them."""

from delever.core.book.book import Book

__all__ = ["Book"]
