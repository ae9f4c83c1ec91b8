"""The ADL of Hyperliquid on 2025-10-10, from records that the user supplies.

dataset            HyperReplay's record of the fills, read exactly
rank_correlation   how similar two orders are; formulas fitted to a real order
replay             the real queues under each rule set, compared with the real fills
reservoir          the whole book: a snapshot of Hydromancer Reservoir rolled forward by fills
counterfactual     what each policy would have closed of that book, beside what the venue closed
"""
