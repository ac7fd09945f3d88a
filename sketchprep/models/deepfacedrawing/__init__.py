"""DeepFaceDrawing (Chen et al. 2020): networks, training in two stages, drawing, evaluation."""
