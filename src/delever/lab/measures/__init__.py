"""Measures of a run: what ADL did to contracts, pools and positions.

contract_totals     lots and money of each contract, added up from events
time_series         pools and contracts at every moment at which they were observed
adl_distribution    how ADL was distributed over the queue: haircut, concentration, Gini
account_outcomes    what ADL did to each position: quantity, marks, haircut, PnL kept
run_measures        a run as vectors by account, and every measure of the papers on them
markout             what a position would have been worth some time after ADL closed it
tail_risk           losses and CVaR (expected shortfall) of the book that ADL leaves
intervals           mean, standard deviation and bootstrap interval over runs
"""
