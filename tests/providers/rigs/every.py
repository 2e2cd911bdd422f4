"""Every rig there is. A new provider adds its own here, and must pass `test_contract*.py` from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.providers.rigs.anthropic import AnthropicRig
from tests.providers.rigs.ollama import OllamaRig
from tests.providers.rigs.openai import OpenAIRig
from tests.providers.rigs.sim import SimRig

if TYPE_CHECKING:
    from tests.providers.contract import Can, Rig

RIGS: tuple[Rig, ...] = (
    OllamaRig(ids=True),
    OllamaRig(ids=False),
    OpenAIRig(),
    OpenAIRig(openrouter=True),
    AnthropicRig(),
    SimRig(),
)


def over(*needs: Can) -> pytest.MarkDecorator:
    """A test with a `rig`: each that can all of this."""
    return pytest.mark.parametrize("rig", [rig for rig in RIGS if rig.can.issuperset(needs)], ids=repr)
