"""Valuation of accounts, pools and inventory.

Read the modules in this order:

1. side_valuation  the inputs of a ranking: equity, margins, PnL of all positions of a side
2. bankruptcy      bankruptcy price of a position, and its takeover at that price
3. netting         opposite cross positions of an account, netted before its takeover
4. insurance       pool equity and contract PnL, unwinding of inventory, depth
5. numeric_range   bounds that keep every result inside int64
6. liquidation     managed pools: accounts at or below maintenance margin, taken over
"""
