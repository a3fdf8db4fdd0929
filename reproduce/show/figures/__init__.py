"""Figures from finished runs: `declarations` says what they are made of, `drawing` draws them."""
