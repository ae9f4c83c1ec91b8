"""Published figures about ADL computed again, each with a verdict and the function that shows it.

figure       one published figure: the number, what it is computed to be, the verdict
event        Hyperliquid's event of 10 October 2025: totals and bursts
learning     Autodeleveraging as Online Learning (P2): its tables, and what is wrong in them
claims       claims of the papers that worked examples decide, without data
four_traders  the example of the code of Risk-Based Auto-Deleveraging (P3)
reproduce    all of them, as a table
"""
