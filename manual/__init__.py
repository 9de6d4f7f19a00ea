"""The man pages, written by the sources that they tell of.

The commands tell of themselves as they do for --help (commands.py), the keys of the configuration by their docstrings
and defaults (configuration.py); pages.py adds what is about the whole. `make man` writes them into build/man, and
hook.py has each wheel bring them along.
"""
