"""The pages, one a file; `watch` is the only page of `delever watch`."""
