"""Stalwart's text log: an event, its name, and fields. All services write it; the port tells POP and IMAP apart."""

from submission.core.poplog.format import IP, USER, Format, login

STALWART = Format(
    name="stalwart",
    programs={b"": None},
    lines=(
        login(
            rb"[0-9-]{10}T[0-9:.]{8,18}Z INFO Authentication successful \(auth\.success\) ",
            rb'listenerId = "[^"\s]{1,64}", ',
            rb"localPort = (?P<proto>110|995|143|993), remoteIp = ",
            IP,
            rb", remotePort = [0-9]{1,5}, accountName = \"",
            USER,
            rb'", accountId = [0-9]{1,20}(?:, (?:type|details) = "[^"]{1,255}")?',
        ),
    ),
)
