"""Hold TensorZero's embedded gateway (its Rust core, from the wheel) open. Run by the Python that has it, not by ours.

`PYTHON embedded.py CONFIG`: says URL=... once it is ready.
"""

from __future__ import annotations

import asyncio
import sys


async def main(config: str) -> None:
    from openai import AsyncOpenAI  # noqa: PLC0415 - that Python has them
    from tensorzero import patch_openai_client  # type: ignore[import-not-found]  # noqa: PLC0415

    client = await patch_openai_client(AsyncOpenAI(api_key="none"), config_file=config, async_setup=True)
    print(f"URL={client.base_url}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
