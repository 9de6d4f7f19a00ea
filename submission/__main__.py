"""`python -m submission` is the command `submission`."""

from submission.cli.main import main

if __name__ == "__main__":
    main()
