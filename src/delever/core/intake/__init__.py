"""Intake: a command is validated and becomes events, or is rejected.

1. row_rejections  rows that cannot be taken, each rejected alone
2. snapshots       balances and positions, row by row, corrected for outstanding fills
3. bulk_snapshots  the same in columns
4. column_packing  columns -> a command in columns
5. collateral      terms and index prices of collateral, and its conversion
6. marks           marks read and checked; those beyond their contract's limits
7. live_terms      new terms of live contracts and pools, plans, and the end of a contract
8. handlers        one function a command; `admit` is the entry
"""
