"""The page on which a face is drawn, and the server behind it."""
