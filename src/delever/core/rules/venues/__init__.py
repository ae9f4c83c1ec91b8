"""One rule set a venue: triggers, prices, ranking, and each rule with its source.

`every_venue` has the rules that apply under every rule set; the other modules are venues.
"""
