"""Photo corpora, one a file."""
