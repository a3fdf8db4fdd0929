"""The encoder, its language and task adapters, the heads, and which parameter belongs to which layer."""
