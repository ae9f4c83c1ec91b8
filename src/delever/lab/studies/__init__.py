"""Studies: fund sizes, slippage and an account's odds on any book; the ADL of Hyperliquid in 2025.

fund_curve             what each size of a fund leaves, the optimum, the closed form
slippage_at_risk       what liquidating a part of the open interest costs in the order books
account_odds           how likely ADL is to close the positions of one account
hyperliquid_dataset    HyperReplay's record of the fills of 2025-10-10, read exactly
rank_correlation       how similar two orders are; formulas fitted to a real order
hyperliquid_replay     the real queues under each rule set, compared with the real fills
"""
