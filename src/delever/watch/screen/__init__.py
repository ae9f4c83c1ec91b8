"""The display of a watch.

Read in this order:

    view           everything at one moment, as values
    advice         a position's score, and what one change would make of it
    terminal       tables, for `--once` and where there is no terminal
    pager          pages of lines for a terminal, and what keys do
    keyboard       the keys of a terminal
    history_plot   indicators, PnL ratio, risk and state over time
"""
