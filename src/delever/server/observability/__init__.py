"""Metrics and logs of a server.

1. logs      JSON lines without secrets
2. metrics   Prometheus metrics
"""
