"""ADL risk of contracts, and the publication of ratings and indicators.

1. stress_curve  how much a move of the mark would leave for ADL
2. rating        low, medium or high: the scorecard of seven inputs, and the stress curve
3. publication   which ratings and indicators are due, stale and ranked again
"""
