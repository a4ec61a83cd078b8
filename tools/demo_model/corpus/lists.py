"""Lists of things in several layouts, and which category a thing belongs to."""

from .example import Example, single
from .words import CATEGORIES, DAYS, MONTHS, article

NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight"]
SINGULAR = {
    "fruits": "fruit",
    "vegetables": "vegetable",
    "animals": "animal",
    "colors": "color",
    "jobs": "job",
    "tools": "tool",
    "clothes": "piece of clothing",
    "pieces of furniture": "piece of furniture",
    "instruments": "instrument",
    "sports": "sport",
    "drinks": "drink",
    "vehicles": "vehicle",
    "shapes": "shape",
    "planets": "planet",
    "flowers": "flower",
    "trees": "tree",
    "birds": "bird",
    "metals": "metal",
}
PACKING = {
    "the beach": "towel sunscreen hat sandals water book umbrella sunglasses".split(),
    "school": "pencil notebook ruler book lunch eraser bag calculator".split(),
    "a hike": "boots water map jacket snack compass hat whistle".split(),
    "a picnic": "bread cheese apples blanket juice cups plates cookies".split(),
    "a rainy day": "umbrella coat boots scarf hat".split(),
    "a birthday party": "cake candles balloons presents music games juice".split(),
}


def layout(rng, items: list[str]) -> tuple[str, str]:
    """A phrase that asks for a layout (may be empty) and the items laid out so."""
    kind = rng.choice(["numbered", "numbered", "bullets", "commas", "plain"])
    if kind == "numbered":
        return rng.choice(["", " Number them.", " Make it a numbered list."]), "\n".join(
            f"{i}. {x}" for i, x in enumerate(items, 1)
        )
    if kind == "bullets":
        return rng.choice([" Use bullets.", " Make it a bullet list."]), "\n".join(
            f"- {x}" for x in items
        )
    if kind == "commas":
        return rng.choice([" Separate them with commas.", " Answer in one line."]), ", ".join(items)
    return rng.choice([" One on each line.", " Put each on its own line."]), "\n".join(items)


def name_some(rng) -> Example:
    category = rng.choice(sorted(CATEGORIES))
    count = rng.randrange(2, 9)
    items = rng.sample(CATEGORIES[category], min(count, len(CATEGORIES[category])))
    many = rng.choice([str(len(items)), NUMBERS[len(items)]])
    ask = rng.choice(
        [
            f"List {many} {category}.",
            f"Name {many} {category}.",
            f"Give me {many} {category}.",
            f"Write a list of {many} {category}.",
        ]
    )
    tail, text = layout(rng, items)
    return single(
        "name_some", ask + tail, text, {"kind": "list", "category": category, "count": len(items)}
    )


def packing(rng) -> Example:
    place = rng.choice(sorted(PACKING))
    items = rng.sample(PACKING[place], min(rng.randrange(3, 7), len(PACKING[place])))
    ask = rng.choice(
        [
            f"What should I bring for {place}? Name {len(items)} things.",
            f"Make a list of {len(items)} things to bring for {place}.",
            f"List {len(items)} things for {place}.",
        ]
    )
    tail, text = layout(rng, items)
    return single("packing", ask + tail, text, None)


def all_of(rng) -> Example:
    items, ask = rng.choice(
        [
            (DAYS, "List the days of the week."),
            (MONTHS, "List the months of the year."),
            (CATEGORIES["planets"], "List the planets of the solar system."),
            (["spring", "summer", "autumn", "winter"], "List the four seasons."),
            (["north", "east", "south", "west"], "List the four directions."),
        ]
    )
    tail, text = layout(rng, items)
    return single("all_of", ask + tail, text, closed=True)


def category_of(rng) -> Example:
    category = rng.choice(sorted(SINGULAR))
    item = rng.choice(CATEGORIES[category])
    shown = (
        item if category in ("sports", "planets", "colors", "drinks", "metals") else article(item)
    )
    ask = rng.choice(
        [
            f"Is {shown} {article(SINGULAR[category])}?",
            f"What kind of thing is {shown}?",
            f"What is {shown}?",
        ]
    )
    start = "Yes, " if ask.startswith("Is ") else ""
    text = start + f"{shown} is {article(SINGULAR[category])}."
    value = f"{shown} is {article(SINGULAR[category])}."
    return single(
        "category_of", ask, text[0].upper() + text[1:], {"kind": "contains", "value": value[1:]}
    )


def odd_one_out(rng) -> Example:
    first, second = rng.sample(
        ["fruits", "animals", "colors", "tools", "clothes", "instruments", "vehicles", "planets"], 2
    )
    odd = rng.choice([x for x in CATEGORIES[second] if x not in CATEGORIES[first]])
    words = rng.sample(CATEGORIES[first], 3) + [odd]
    rng.shuffle(words)
    ask = rng.choice(
        [
            f"Which word does not belong: {', '.join(words)}?",
            f"Find the odd one out: {', '.join(words)}",
        ]
    )
    return single(
        "odd_one_out", ask, f"{odd[0].upper() + odd[1:]} does not belong. The others are {first}."
    )


FAMILIES = [(name_some, 3.0), (packing, 0.8), (all_of, 0.8), (category_of, 0.8), (odd_one_out, 1.2)]
