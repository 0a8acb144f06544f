"""`python -m tests.benchmarks.peers`: ours and others in the same rounds; the same options."""

import sys

from tests.benchmarks.__main__ import main

main(["peers", *sys.argv[1:]])
