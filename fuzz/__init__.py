"""What strangers may send, tried by the million: libFuzzer, by way of atheris, looks for inputs that reach new code.

    python -m fuzz TARGET SECONDS       one target for so long, or until an input makes it fail

A target is a file in targets/: `check(data)` takes any octets whatever and raises where an invariant is broken, which
its docstring names; `seeds()` gives inputs to begin with, made of what the tests have anyway. corpus/ keeps, a line an
input, those that lead to more of the code than the seeds do; corpus.py reads and writes it. Nothing but __main__.py
needs atheris: the tests replay seeds and corpora without it.

docs/security.md has the figures.
"""
