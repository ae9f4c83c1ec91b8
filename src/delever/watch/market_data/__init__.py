"""Market data of the venues: values with their time, and why a source has none.

Read in this order:

    indicator_scale   every venue's ADL indicators and risk labels on one scale
    observations      values that venues publish, and when they become stale
    fill_details      what an ADL fill has cost, and why it was this position
    errors            failures of a source
"""
