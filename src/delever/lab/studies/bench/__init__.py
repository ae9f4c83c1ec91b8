"""ADL-Bench: frozen instances on which any policy can be scored, and the table of results.

instances    the twelve instances, each with the digest that it must have
inputs       an instance as arrays, its digest, and the book of it
scores       a policy run on an instance: a dozen measures, and its certificate checked
submission   a policy of a Python file; rows of a policy on all instances
"""
