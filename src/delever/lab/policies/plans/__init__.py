"""Plans that reduce several contracts at once, with a proof of how good they are.

reduction        what must be reduced, of whom, and which moves of the market are feared: columns
shadow_prices    the plan with the smallest expected shortfall, by linear programming (HiGHS)
certificate      the proof that travels with a plan, with its inputs in one file
check            the proof re-derived with NumPy alone, by code that no solver shares
book_reduction   a book as a reduction: margin buckets, exposures, closable positions
book_plan        plans of a book: lots of each position, and why each account pays
live             plans that a running engine executes, and those of a journal proved again

    plan = lab.plan_reduction(book, {("BTCUSDT", "short"): "10"}, scenarios=shocks)
    lab.check(plan.certificate, plan.reduction).ok
"""
