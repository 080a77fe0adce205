"""Models: arrays in, frozen results out. No files, no figures, no state."""
