"""The one mutable object, `Book`: `Book.apply(event)` is the only mutation.

Read the modules in this order:

 1. account_tables  account names <-> account indices; tables of accounts and of wallets
 2. position_table  all positions in one block of columns; one side of a contract
 3. pool_state      one settle asset; one insurance pool; its inventory, in tranches
 4. contract_state  one contract: terms, mark, depth, positions, inventory, PnL, ADL
 5. new_marks       the marks of an event, set one by one or as columns
 6. outstanding     fills, losses and compensations that snapshots may not include yet
 7. changes         what has changed since the journal last hashed the changes
 8. book            the book, and how each event changes it
"""

from delever.core.book.book import Book

__all__ = ["Book"]
