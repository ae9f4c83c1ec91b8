"""delever."""
