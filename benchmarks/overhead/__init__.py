"""What the pool itself costs, with a model that takes no time: rate, CPU per request, memory, start-up."""
