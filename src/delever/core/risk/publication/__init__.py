"""Publication of the ranks and indicators of a whole book.

1. ranking   what is ranked: contracts that share a ranking, in one pass
2. cache     what is stale: contracts whose ranks have to be computed again
3. schedule  what is due: the refreshes that a clock has to submit, and their events
"""
