"""Does the breaker open when it should, only then, and close again? Outages and brownouts on a simulated clock."""
