"""Intake: a command is validated and becomes events, or is rejected.

1. snapshots       balances and positions, row by row, corrected for outstanding fills
2. bulk_snapshots  the same in columns
3. column_packing  columns -> a command in columns
4. collateral      terms and index prices of collateral, and its conversion
5. mark_guards     marks beyond their contract's limits, unconfirmed and confirmed
6. handlers        one function a command; `admit` is the entry
"""
