"""`python -m delever`: the same as the command `delever`."""

from delever.cli import main

main()
