"""Studies: fund sizes, slippage, odds of an account; a public bench; the ADL of 2025-10-10.

fund_curve             what each size of a fund leaves, the optimum, the closed form
slippage_at_risk       what liquidating a part of the open interest costs in the order books
account_odds           how likely ADL is to close the positions of one account
severity               how much of a deficit winners pay: controllers and their regret
bench                  ADL-Bench: frozen instances on which any policy is scored
reproduction           published figures computed again, with corrections
hyperliquid            the ADL of Hyperliquid on 2025-10-10 under every rule set
"""
