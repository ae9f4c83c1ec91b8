"""Haircuts: money of profit divided over winners.

winners     who can pay: profits, equities and notionals; the protocol HaircutPolicy
levels      one level of a ratio at which shares sum to a budget
pro_rata    wealth pro rata, capped, by risk, by gains, and one haircut for all profits
ordered     greedy by risk; the lowest highest burden
"""
