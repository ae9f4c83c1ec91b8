"""Intake: a command is validated and becomes events, or is rejected.

1. snapshots       balances and positions, row by row, corrected for outstanding fills
2. bulk_snapshots  the same in columns
3. column_packing  columns -> a command in columns
4. closing         positions and inventory closed by the venue at one price
5. amendments      new terms of live contracts and pools
6. delisting       the end of a contract: its status, and its settlement at a price
7. handlers        one function a command; `admit` is the entry
"""
