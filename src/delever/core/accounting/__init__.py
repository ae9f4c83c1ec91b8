"""Double-entry accounting of every step.

Read the modules in this order:

 1. ledger      ledger accounts, postings, and the totals that the book has for them
 2. postings    event -> balanced postings
 3. invariants  the checks after every step, and an audit of a whole book
"""
