"""DeepFaceDrawing networks and their weight files."""
