"""From one photo to its sketches: recipe, landmarks, selection, framing, stages."""
