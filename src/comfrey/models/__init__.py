"""Models: estimates and their precision in, frozen results out."""
