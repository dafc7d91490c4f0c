"""llamaagent for Python programs: `llamaagent.open_store()`, its repositories, and a logging handler.

Nothing here raises because the database cannot be had; wrong arguments are told as everywhere.
"""
