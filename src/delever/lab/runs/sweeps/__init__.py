"""Sweeps: many simulations of one book, in processes, with results that can be resumed.

tasks        what is run: scenarios x rule sets x fund sizes -> one row each
executors    one after the other, in a process pool with the book in shared memory, on Ray
sweep        tasks run in parts; parts stored as Parquet, done ones not run again
"""
