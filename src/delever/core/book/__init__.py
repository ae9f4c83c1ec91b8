"""The one mutable object, `Book`: `Book.apply(event)` is the only mutation.

Read the modules in this order:

 1. account_index   account names <-> account indices
 2. account_tables  tables of accounts and of wallets
 3. position_index  (account, position id) -> row
 4. position_table  all positions of one side of a contract
 5. inventory       positions taken over by a pool, in tranches
 6. contract_state  one contract: terms, mark, depth, positions, inventory, PnL, ADL
 7. pool_state      one settle asset; one insurance pool
 8. book            the book, and how each event changes it
"""

from delever.core.book.book import Book

__all__ = ["Book"]
