"""Bytes and files: image formats, shards, tables, object stores, figures."""
