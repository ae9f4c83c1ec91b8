"""Market paths: what marks, order books and accounts do in a scenario, step by step.

path        a shock, a step, a scenario: what happens when, relative to the book at the start
models      scenarios: linear, prices given or historical, and random ones with a seed
commands    a scenario and a book -> commands of the engine
"""
