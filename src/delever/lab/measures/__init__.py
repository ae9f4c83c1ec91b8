"""Measures of a run: what ADL did to contracts, pools and positions.

contract_totals     lots and money of each contract, added up from events
time_series         pools and contracts at every moment at which they were observed
adl_distribution    how ADL was distributed over the queue: haircut, concentration, Gini
"""
