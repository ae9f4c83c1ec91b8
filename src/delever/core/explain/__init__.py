"""Answers about one position, read from the same valuation and queue that a round would use.

1. queue_position  its place in the queue
2. explanation     why it has that place, with every number and trigger
3. what_if         what one change by its account would make of that place
"""
