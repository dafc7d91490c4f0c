"""GGUF files: finding them, and reading what their headers say, with nothing but the standard library."""
