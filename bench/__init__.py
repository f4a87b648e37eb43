"""What measures times, accuracies and bands, and keeps them in bench/results: python -m bench.NAME."""
