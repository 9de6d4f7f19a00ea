"""gnu-pop3d 0.9: `User U logged in with mailbox FILE from ADDRESS`."""

from submission.core.poplog.format import IP, USER, Format, login

GNU_POP3D = Format(
    name="gnu-pop3d",
    programs={b"gnu-pop3d": "pop3"},
    logins=(login(rb"User ", USER, rb" logged in with mailbox /.+ from ", IP),),
    becomes_user=True,
)
