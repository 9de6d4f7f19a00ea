"""The other end: connections to the host's own mail system. The one importer of aiosmtplib.

aiosmtplib connects, does TLS and says EHLO; then pipe.py takes its protocol's place, so that commands can be
pipelined and a message streamed. upstream.py is what the session sees.
"""
