"""The one mutable object, `Book`: `Book.apply(event)` is the only mutation.

Read the modules in this order:

 1. account_tables  account names <-> account indices; tables of accounts and of wallets
 2. position_index  (account, position id) -> row
 3. position_table  all positions in one block of columns; one side of a contract
 4. inventory       positions taken over by a pool, in tranches
 5. contract_state  one contract: terms, mark, depth, positions, inventory, PnL, ADL
 6. pool_state      one settle asset; one insurance pool
 7. outstanding     fills, losses and compensations that snapshots may not include yet
 8. book            the book, and how each event changes it
"""

from delever.core.book.book import Book

__all__ = ["Book"]
