"""One photo to a frame to sketches: recipe, selection, alignment, stages."""
