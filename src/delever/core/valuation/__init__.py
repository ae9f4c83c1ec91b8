"""Valuation of accounts, pools and inventory.

Read the modules in this order:

1. multi_asset     margin of accounts over several assets, and the conversion of these
2. bankruptcy      bankruptcy price of a position, and its takeover at that price
3. stale_rows      positions whose newest row was rejected: neither ranked nor taken over
4. side_valuation  the inputs of a ranking: equity, margins, PnL of all positions of a side
5. netting         opposite cross positions of an account, netted before its takeover
6. insurance       pool equity and contract PnL, unwinding of inventory, depth
7. numeric_range   bounds that keep every result inside int64
8. liquidation     managed pools: accounts at or below maintenance margin, taken over
"""
