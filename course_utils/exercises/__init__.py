"""Exercises: their definition, the checks that answer, progress, and one file of content a notebook."""
