"""Statistical models: arrays in, frozen results out."""
