"""The doors of OpenAI: bodies as its official clients send them, answers as they read them."""
