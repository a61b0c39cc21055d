"""Training: stages over a plain, resumable loop."""
