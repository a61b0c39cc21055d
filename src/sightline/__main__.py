"""`python -m sightline`: the command line, for launchers such as torchrun."""

from sightline.cli import main

if __name__ == "__main__":
    main()
