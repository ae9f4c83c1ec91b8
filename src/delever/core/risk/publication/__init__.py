"""Publication of the ranks and indicators of a whole book.

1. ranked_batch  the result: columns of contracts ranked together, and views of them
2. ranking       what is ranked: contracts that share a ranking, in one pass
3. cache         what is stale: contracts whose ranks have to be computed again
4. schedule      what is due: the refreshes that a clock has to submit, and their events
"""
