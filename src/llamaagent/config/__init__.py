"""From YAML files to the records of `domain`: search, read, merge, check, remember. Starts nothing."""
