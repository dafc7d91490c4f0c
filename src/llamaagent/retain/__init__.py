"""What to keep: roll-ups of samples, and the deletion of what is older than the settings say. Asks store."""
