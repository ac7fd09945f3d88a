"""The paired dataset on disk: sources, builds, reading, exports, component crops."""
