"""bybit."""
