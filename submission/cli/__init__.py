"""The commands: one file a command, which parses arguments, calls what does the work, and prints.

Exit codes are those of sysexits.h unless a command says otherwise.
"""
