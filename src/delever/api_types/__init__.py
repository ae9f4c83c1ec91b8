"""api_types."""
