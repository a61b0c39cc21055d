"""`python -m bench`: every comparison there is."""

from bench.single_stream import main

if __name__ == "__main__":
    raise SystemExit(main())
