"""What makes the notebooks and pages of the course from their sources, and checks them: python -m tools.NAME."""
