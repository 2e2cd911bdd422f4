"""English word lists: what says nothing alone, what asks, and what only praises."""

from __future__ import annotations

from llm_pool.providers.builtin.tables import listed

# Function words: the classic lists (van Rijsbergen 1979; Snowball), with contractions as `text.WORD` finds them.
STOP = listed("""
    a about above across along after again against all also am an and any anything are aren't as at be because been
    before being below between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down
    during each either else etc even ever every few for from further get gets getting got had hadn't has hasn't have
    haven't having he her here hers herself him himself his how however i i'd i'll i'm i've if in into is isn't it it's
    its itself just let let's like made make makes many may me might more most much must my myself neither no nor not
    now of off on once one only onto or other others ought our ours ourselves out over own per please rather really same
    shall she should shouldn't so some something somewhere still such than that that's the their theirs them themselves
    then there there's these they they're this those though through thus to too under until up upon us very via was
    wasn't we we're we've were weren't what what's when where which while who whom whose why will with within without
    won't would wouldn't yes yet you you'd you'll you're you've your yours yourself yourselves re ve ll
    """)

# Words of the asking itself: they say that something is sought, not what.
ASKING = listed("""
    find search searching looking look show give tell want wants wanted need needs needed know recommend recommendation
    recommendations suggest suggestion suggestions help seeking seek explain describe list thanks hi hello okay ok
    prefer preferably ideally wish hope try trying accepts accepting allows allowing anyone someone something stuff
    thing things kind sort type types which's who's how's i'd buy purchase
    """)

# Words that praise or grade: a good result need not contain them.
QUALIFIERS = listed("""
    best better good great top nice cool amazing awesome excellent perfect ideal popular famous favorite favourite new
    newest latest recent recently current updated modern cheap cheapest affordable inexpensive budget expensive premium
    luxury free easy easiest simple quick quickest fast fastest short long complete full detailed official reliable
    trusted safe high low quality rated small big large old light lightweight beautiful interesting fun real learn
    learning
    """)

PROFANITY = listed("fuck fucking fucked shit shitty bullshit asshole bitch bastard cunt motherfucker crap")
