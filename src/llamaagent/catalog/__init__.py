"""The catalogue of container images: NGC's listing and any OCI registry, read over HTTP into rows.

It asks servers and understands what they say; what is stored is the store's. No other command pays for it:
it is imported by `catalog` alone, and uses nothing but the standard library (and, to see which images are
here already, the engine's own package behind one function).
"""
