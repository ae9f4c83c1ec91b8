"""Metrics and logs of a server.

1. logs               JSON lines without secrets
2. market_collector   gauges of the market snapshot
3. adl_amounts        counters of ADL in money
4. metrics            counters, histograms and the registry that /metrics answers from
"""
