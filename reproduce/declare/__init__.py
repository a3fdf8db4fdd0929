"""Papers as declarations: their tables, figures, settings and claims, and the published numbers."""
