"""Parts of pages, in reading order.

live_html         HTML that changes in place
frame             what every page has: navigation, search, errors, age of the data; panels
table             tables with sortable columns
queue_table       the ADL queue of one side, page by page
activity          what happened, by meaning
closed_by_adl     what ADL has closed of an account, with proofs
operator_actions  operator commands with a reason and a typed confirmation
scrubber          controls to move through timelines
"""
