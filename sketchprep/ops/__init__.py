"""Pure functions from arrays to arrays: no files, no globals, no network weights."""
