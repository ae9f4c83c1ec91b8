"""The pages, one a file; each function is a page, its arguments are what the address says."""
