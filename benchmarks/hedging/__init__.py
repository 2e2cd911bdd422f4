"""How much of the tail hedging cuts off, and at what cost: the server's own class on recorded and on fresh traces."""
