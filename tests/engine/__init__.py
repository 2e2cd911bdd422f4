"""A real inference engine behind the real pool, asked through the official clients. Only with --engine."""
