"""From a review to its findings: the question, its analyses, and one generated sentence each."""
