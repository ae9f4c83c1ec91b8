"""Live terms: the terms of contracts and pools change while they have positions, or end.

1. adl_plans   how long rounds wait for a plan; a plan's own fields
2. closing     positions and inventory closed by the venue at one price
3. amendments  new terms of live contracts and pools
4. delisting   the end of a contract: its status, and its settlement at a price
"""
