"""Tables of hyperparameters and data sets: `declarations` says what they are made of, `filling` fills them."""
