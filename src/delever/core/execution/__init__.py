"""Execution: one ADL round, from inventory and queue to fills and notices.

1. adl_round      what a round works with, and which counterparties may be closed
2. settlement     the fills, with what each costs and realizes on both sides
3. deleveraging   the events of a round, in order
4. planned_round  a plan's lots in the place of the policy, and rounds that wait for a plan
5. notices        whom a step's events concern
"""
