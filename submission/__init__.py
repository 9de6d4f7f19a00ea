"""An SMTP AUTH submission proxy that stands in front of an old sendmail.

A glossary, and the order to read in:

client      a mail program or device that submits a message to us (ports 587 and 465)
relay       the host's own sendmail on port 25, and the connection to it that a transaction is handed over on
session     one connection of a client, from greeting to close
transaction MAIL, RCPT..., DATA or BDAT: one message, relayed while the client waits (RFC 5321 section 3.3)
identity    why a client may send: it authenticated, or an entry in a table names its address
login       user@realm, the name that somebody authenticates with
mechanism   one SASL dialogue (RFC 4422), such as PLAIN or CRAM-MD5
token       what an issuer gave a user's mail program, to log in with instead of a password (RFC 6750)
record      what the store keeps of a login: hashes, and a sealed secret where a mechanism needs one

Start with core/transaction.py (the phases of a session) and core/datastream.py (where a message ends), then
smtp/session.py (the verbs) and relay/ (the other end). core/sasl/ and credentials/ are the way of a password.
docs/architecture.md draws the whole. Imports run one way: cli, service, shells, core.
"""
