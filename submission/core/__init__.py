"""What decides. No sockets, files, clocks, threads or logging in here: time and bytes are arguments."""
