"""Model families, one folder each; families never import one another."""
