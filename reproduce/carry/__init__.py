"""Between machines: prefetch, preflight, archive, merge."""
