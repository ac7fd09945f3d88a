"""From a sketch to a face: component bank, manifold projection, synthesis, editing."""
