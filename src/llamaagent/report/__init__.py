"""The static report: reads views, makes pages and pictures, publishes them into a folder.

Nothing here writes to the database or asks for the time; `now` and the zone are handed in.
"""
