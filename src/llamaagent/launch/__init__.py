"""Starting, finding and ending real processes; their environment and command line; the embedded server."""
