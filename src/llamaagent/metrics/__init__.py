"""What a Prometheus server reads: figures out of the database in its text formats, and the file that carries them."""
