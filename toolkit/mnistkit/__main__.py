"""`python -m mnistkit`."""

from mnistkit.cli.main import main

if __name__ == "__main__":
    main()
