"""How good sketches are: metrics of line drawings, and the evaluation of the simplifier."""
