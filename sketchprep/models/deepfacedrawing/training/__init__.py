"""Training of DeepFaceDrawing: component embedding, then feature mapping and image synthesis."""
