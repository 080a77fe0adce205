"""`python -m comfrey` is the command line."""

from comfrey.cli import main

if __name__ == "__main__":
    main()
