"""Container engines by their Docker API: where they are, what they say, what is said to them.

Docker and Podman both speak it, each a little differently; the differences end here. The package `docker` (extra
`containers`) is imported with the first question to an engine and never before.
"""
