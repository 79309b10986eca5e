"""What `beside-peers` is made of: the servers, the load, the line, the measurements, the table."""
