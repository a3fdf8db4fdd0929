"""What a run reads: where each input comes from, its content key, and its gaps."""
