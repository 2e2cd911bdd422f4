"""What the exit codes mean, for scripts; `--help` tells them too."""

from llm_pool import process

OK = process.OK  # answered
FAILED = 1  # the pool answered with an error
REFUSED = process.REFUSED  # wrong usage, or a configuration or request that is refused
UNREACHABLE = 3  # nobody there
DEGRADED = 4  # answered by the fallback tier, which --strict does not take
INTERRUPTED = process.INTERRUPTED

TEXT = """\
exit codes:
  0  done               3  the pool is not reachable
  1  the pool answered  4  degraded answer (with --strict)
     with an error    130  interrupted
  2  wrong usage, or a configuration or request that is refused"""
