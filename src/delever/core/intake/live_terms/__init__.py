"""Live terms: the terms of contracts and pools change while they have positions, or end.

1. closing     positions and inventory closed by the venue at one price
2. amendments  new terms of live contracts and pools
3. delisting   the end of a contract: its status, and its settlement at a price
"""
