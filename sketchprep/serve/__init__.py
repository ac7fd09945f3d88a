"""The drawing page: a browser canvas, its HTTP and WebSocket server, and the cache of decoded face parts."""
