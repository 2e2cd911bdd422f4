import asyncio, gc
from tests.dispatch.test_race import *
async def test_x():
    made=[]
    loop=asyncio.get_running_loop()
    loop.set_task_factory(lambda l,c,**k: (made.append(repr(c)), asyncio.Task(c,loop=l,**k))[1])
    parts = {"a": Scripted("stall"), "b": speaking(0.5, *words(20, every=0.25))}
    asking = pool(parts)
    async with asking.open(request(whole=False)) as events:
        async for e in events:
            if isinstance(e, TextDelta): break
    print("left", made)
    for _ in range(4): await asyncio.sleep(0)
    print(made)
    gc.collect()
    del events
    for _ in range(4): await asyncio.sleep(0)
    print(made)
