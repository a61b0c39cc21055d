"""`python -m bench`: every comparison there is; exits with 1 if a bar is missed."""

from bench import single_stream, train

if __name__ == "__main__":
    raise SystemExit(max(single_stream.main([]), train.main([])))
