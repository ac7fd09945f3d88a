"""The command line: the root group and the commands that belong to no model family."""
