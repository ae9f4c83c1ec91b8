"""Terms and data of contracts and of collateral.

Read the modules in this order:

1. validation       exact numbers from the fields of a command, or a rejection
2. contract_terms   ticks, lots, value of a quantity at a price, margin tiers
3. collateral       value of a balance in the margin currency, tiers and haircuts
4. trigger_limits   limits of triggers in exact numbers
5. mark_limits      the largest move and the largest age of a contract's marks
6. mark_table       the marks of all contracts as columns
7. rolling_windows  maximum, mean and realized volatility over a window of time
"""
