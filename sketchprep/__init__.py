"""Face photos in, paired photo/sketch datasets out."""

__version__ = "0.1.0"
