"""delever beside a venue that has its own ADL: nothing is executed, differences are reported.

venue_feed      the feed's lines: commands, and the ADL fills of the venue
followed_book   the venue's book: its commands and fills, and no ADL of the engine
decisions       what the rule set would close now, decided on a copy of the book
episodes        decisions beside the venue's fills, matched by contract, side and time
differences     the rows of the report, with the cause of each difference
shadow_run      all of it: a feed in, a report out
"""
