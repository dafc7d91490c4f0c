"""Asking a llama-server for text: what is asked, how it goes over HTTP, what comes back, what makes two askings one.

Knows nothing of profiles on disk or of databases: who calls brings the address, the key and the profile's options.
"""
