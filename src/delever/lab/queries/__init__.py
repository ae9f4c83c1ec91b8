"""Queries of a book or a journal, as data frames and as text.

explanation_text    explanations and what-ifs as numbered lines and named values
position_queries    queue, explanation and what-if of a book's positions
rule_comparison     the same positions ranked under every venue's rules
allocation          a quantity divided over the queue under several policies
risk_tables         ADL risk ratings of contracts, with their scorecard and stress curve
fill_explanation    a past ADL fill recomputed from a journal
fill_report         that fill as text and named values
"""
