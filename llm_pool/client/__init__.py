"""Talk to a pool from Python: `async with Client() as client: answer = await client.infer(prompt="Say hello")`."""

from llm_pool.client.answers import Answer, Decision, Voice
from llm_pool.client.errors import ClientError, Unreachable
from llm_pool.client.http import DEFAULT_URL, Client, Stream

__all__ = ["DEFAULT_URL", "Answer", "Client", "ClientError", "Decision", "Stream", "Unreachable", "Voice"]
