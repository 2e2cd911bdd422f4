"""English words that searchers use for one another, as a table of groups."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Spaces separate groups, `|` the words of one, and "_" is a space within.
_GROUPS = """
cheap|affordable|budget|inexpensive|low-cost expensive|premium|luxury|high-end free|gratis|no-cost best|top|recommended
fast|quick|speedy|rapid easy|simple|beginner-friendly laptop|notebook|ultrabook computer|pc|desktop
phone|smartphone|cellphone|mobile headphones|earphones|headset|earbuds tv|television camera|cameras|dslr
bike|bicycle|cycling car|vehicle|automobile shoes|sneakers|footwear jacket|coat backpack|rucksack sofa|couch
apartment|flat house|home hotel|accommodation|lodging|hostel flight|flights|airfare trip|travel|vacation|holiday
itinerary|route|travel_plan restaurant|restaurants|eatery recipe|recipes|how_to_cook meal|dish dinner|supper
dessert|sweet cake|cakes bread|loaf chicken|poultry vegan|plant-based vegetarian|meatless healthy|nutritious
workout|exercise|training diet|nutrition weight_loss|slimming doctor|physician medicine|medication|drug disease|illness
symptoms|signs treatment|therapy anxiety|stress sleep|sleeping|insomnia baby|infant|newborn kids|children dog|puppy|dogs
cat|kitten|cats movie|film|movies|films series|tv_show|show song|music|track album|record guitar|guitars
concert|gig|live_show book|books novel|fiction article|articles|post news|headlines|updates paper|papers|study|research
review|reviews|opinion comparison|compare|versus guide|tutorial|walkthrough course|class|lesson|training
beginner|beginners|introduction|basics advanced|expert example|examples|sample video|videos|clip
podcast|podcasts|audio_show photo|photos|picture|image download|downloads|get software|program|application|app
library|package|framework|module code|source_code|snippet bug|error|issue fix|repair|solve|troubleshoot
install|installation|setup configure|configuration|settings performance|speed|optimization test|testing|unit_test
database|db|sql programming|coding|development developer|programmer|engineer asynchronous|async|asyncio|concurrent
authentication|login|sign_in security|cybersecurity encryption|cryptography deployment|deploy|release
container|docker|containers machine_learning|ml|deep_learning ai|artificial_intelligence price|cost|pricing
discount|deal|sale|coupon buy|purchase|shop sell|selling store|shop|retailer job|jobs|vacancy|career salary|wage|pay
resume|cv company|business|firm startup|start-up tax|taxes loan|credit|mortgage investment|investing|invest
stock|stocks|shares insurance|coverage law|legislation|legal election|elections|vote climate|global_warming
renewable|clean_energy|green solar|photovoltaic energy|power battery|batteries electric|ev space|astronomy
planet|planets history|historical war|conflict museum|museums|gallery beach|beaches|coast mountain|mountains|hiking
hike|hiking|trail|trek garden|gardening plant|plants furniture|furnishings cleaning|clean coffee|espresso tea|teas
wine|wines beer|beers football|soccer game|games|gaming toy|toys gift|present|gifts wedding|marriage birthday|party
school|education university|college student|students|learner teacher|instructor language|languages translation|translate
math|mathematics|maths statistics|stats|data_analysis chart|graph|plot map|maps weather|forecast relaxing|calm|chill
documentary|documentaries comedy|funny|humor horror|scary thriller|suspense lightweight|light|portable
wireless|bluetooth|cordless waterproof|water-resistant noise-cancelling|anc|noise-canceling used|second-hand|pre-owned
official|verified recent|latest|new|up-to-date open-source|free_software|foss remote|work_from_home|telework
near|nearby|close quiet|silent small|compact|mini big|large strong|durable|sturdy benefits|advantages|pros
risks|dangers|side_effects causes|reasons ideas|inspiration|tips tips|advice|tricks checklist|list
template|templates|model meeting|conference|call screen|monitor|display keyboard|keyboards mouse|mice printer|printers
router|wi-fi|wifi
"""


def table(groups: str) -> Mapping[str, tuple[str, ...]]:
    """Each word of the groups with the others of its groups, in the groups' order; "_" is a space."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for group in groups.split():
        members = group.replace("_", " ").split("|")
        for word in members:
            found[word] += [other for other in members if other != word and other not in found[word]]
    return {word: tuple(others) for word, others in found.items()}


SYNONYMS = table(_GROUPS)
