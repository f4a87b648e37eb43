"""A table of your own to a model in a folder."""
