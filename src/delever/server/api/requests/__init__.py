"""Requests of the native API before a route handles them, in reading order.

1. errors            one error envelope for every response from 400 up
2. masking           account names that a caller may not read
3. authorization     API keys, roles and the guards of routes
4. path_encoding     names with a slash in a path, and HEAD
5. decoding          commands from JSON and NDJSON
6. name_validation   rules for new names
7. operator_bounds   bounds of operators' commands against slips
8. dependencies      the services that routes use
"""
