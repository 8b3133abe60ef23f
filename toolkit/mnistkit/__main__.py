"""`python -m mnistkit`."""

from mnistkit.cli import main

if __name__ == "__main__":
    main()
