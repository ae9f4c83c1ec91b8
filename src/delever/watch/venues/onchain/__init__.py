"""On-chain venues: an address's positions and fills are public; no place in the queue is.

Read in this order:

    position_book   all accounts' positions from a supplied file, and a place in their queue
    hyperliquid     score, fills, and the place against a supplied book
    dydx            no ranking: eligibility, and the distance to the account's own liquidation
"""
