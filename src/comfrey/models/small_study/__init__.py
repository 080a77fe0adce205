"""Small-study effects and selective publication: tests, and estimates adjusted for them."""
