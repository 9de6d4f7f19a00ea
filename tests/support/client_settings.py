"""What the tests of client_settings tell mail programs."""

from submission.core.client_settings import ClientSettings, Incoming, Server

SUBMISSIONS = Server("mail.example.com", 465, "implicit")
SUBMISSION = Server("mail.example.com", 587, "starttls")
IMAPS = Incoming("imap", Server("imap.example.com", 993, "implicit"))
POP3 = Incoming("pop3", Server("pop.example.com", 1110, "starttls"))


def settings(
    *outgoing: Server,
    mechanisms: tuple[str, ...] = ("SCRAM-SHA-256", "PLAIN", "CRAM-MD5"),
    incoming: Incoming | None = IMAPS,
    realm: str = "example.com",
) -> ClientSettings:
    """Both servers unless told."""
    return ClientSettings(realm, outgoing or (SUBMISSIONS, SUBMISSION), mechanisms, incoming)
