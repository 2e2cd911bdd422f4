"""`python -m llm_pool` is `llm-pool`."""

import sys

from llm_pool.cli import main

if __name__ == "__main__":
    sys.exit(main())
