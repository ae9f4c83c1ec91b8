"""Double-entry accounting of every step.

Read the modules in this order:

 1. ledger      ledger accounts, postings, and the totals that the book has for them
 2. postings    event -> balanced postings
 3. invariants  what must hold after every step, and an audit of a whole book
"""
