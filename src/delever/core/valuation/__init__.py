"""Valuation of accounts, pools and inventory.

Read the modules in this order:

1. bankruptcy      bankruptcy price of a position, and its takeover at that price
2. stale_rows      positions whose newest row was rejected: neither ranked nor taken over
3. side_valuation  the inputs of a ranking: equity, margins, PnL of all positions of a side
4. netting         opposite cross positions of an account, netted before its takeover
5. insurance       pool equity and contract PnL, unwinding of inventory, depth
6. numeric_range   bounds that keep every result inside int64
7. liquidation     managed pools: accounts at or below maintenance margin, taken over
"""
