"""A recipe that builds real pairs in little time."""

QUICK = {
    "name": "quick",
    "sources": ["folder"],
    "size": 128,
    "shard_size": 2,
    "stages": {"canny": {}, "photocopy": {}, "simplify": {"op": "clean", "input": "photocopy"}},
    "sketch": "simplify",
    "store": ["photocopy", "canny"],
    "split": {"test": 1, "of": 6},
}
