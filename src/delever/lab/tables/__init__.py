"""A book as tables: book directories of CSV or Parquet files, and data frames.

table            one table, read as text; the schema of every table of a book
defaults         tables that may be missing, inferred from the others
column_commands  accounts, balances and positions -> commands in columns, where cells allow that
book_writer      a book -> tables
book_reader      tables -> a book, through the engine's commands
"""
