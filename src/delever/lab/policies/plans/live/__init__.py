"""Plans that a running engine executes: made, submitted, and proved again from the journal.

1. live_plan          plans for the rounds of a book that await one, as commands
2. plan_worker        the worker that makes plans for a server over its API
3. plan_verification  the plans of a journal proved again from their certificates
"""
