"""`python -m stream` is `driftline`."""

from stream.cli import main

if __name__ == "__main__":
    main()
