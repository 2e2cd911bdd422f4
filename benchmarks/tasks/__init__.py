"""How well the models of a pool do its seven tasks, on labelled examples: quality, valid answers, latency."""
