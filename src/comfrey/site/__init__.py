"""The static page: templates, styles, and the build that writes everything or nothing."""
