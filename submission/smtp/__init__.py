"""The client's end: listening sockets, TLS and the session. The one importer of aiosmtpd."""
