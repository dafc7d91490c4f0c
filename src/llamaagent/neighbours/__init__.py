"""What other tools write and read: their files to profiles, and profiles to their files."""
