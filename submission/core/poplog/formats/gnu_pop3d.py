"""gnu-pop3d 0.9: `User U logged in with mailbox FILE from ADDRESS`.

Some versions leave the address out, and FILE ends with the user's name. So a name with ` from ` in it is none.
"""

from submission.core.poplog.format import IP, Format, login

GNU_POP3D = Format(
    name="gnu-pop3d",
    programs={b"gnu-pop3d": "pop3"},
    logins=(login(rb"User (?P<user>(?:(?! from ).)+) logged in with mailbox /(?:(?! from ).)+ from ", IP),),
    becomes_user=True,
)
