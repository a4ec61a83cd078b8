"""Tiny stories with a plot: a hero, a wish or a loss, a helper, a turn and an end; and questions about them."""

import dataclasses

from .example import Example, single
from .words import ADJECTIVES, ANIMALS, COLORS, OBJECTS, PET_NAMES, PLACES, article


@dataclasses.dataclass(frozen=True)
class Cast:
    """What a story is about; every field is filled into the plot."""

    adjective: str
    animal: str
    name: str
    helper: str  # animal of the helper
    helper_name: str
    thing: str
    color: str
    place: str


def draw_cast(rng) -> Cast:
    animal, helper = rng.sample(ANIMALS, 2)
    name, helper_name = rng.sample(PET_NAMES, 2)
    return Cast(
        rng.choice(ADJECTIVES),
        animal,
        name,
        helper,
        helper_name,
        rng.choice(OBJECTS),
        rng.choice(COLORS),
        rng.choice(PLACES),
    )


def opening(rng, c: Cast) -> str:
    return rng.choice(
        [
            f"Once upon a time there was {article(c.adjective)} {c.animal} named {c.name}. {c.name} lived near the {c.place}.",
            f"In a small house by the {c.place} lived {article(c.adjective)} {c.animal} called {c.name}.",
            f"{c.name} was {article(c.adjective)} {c.animal} who lived close to the {c.place}.",
            f"Far away, beside the {c.place}, there lived {article(c.adjective)} {c.animal}. Its name was {c.name}.",
        ]
    )


def lost(rng, c: Cast) -> list[str]:
    spot = rng.choice(
        [
            "under a stone",
            "behind a tree",
            "in the tall grass",
            "beside the path",
            "at the edge of the water",
            "under an old bench",
        ]
    )
    return [
        rng.choice(
            [
                f"{c.name} had {article(c.color)} {c.thing} and loved it more than anything.",
                f"The best thing {c.name} owned was a {c.color} {c.thing}.",
            ]
        ),
        rng.choice(
            [
                f"One morning the {c.thing} was gone.",
                f"One day {c.name} woke up and could not find the {c.thing}.",
                f"But one windy night the {c.thing} disappeared.",
            ]
        ),
        rng.choice(
            [
                f"{c.name} looked in every room, but it was not there.",
                f"{c.name} searched the whole house and found nothing.",
                f"{c.name} felt very sad and did not know where to look.",
            ]
        ),
        rng.choice(
            [
                f'Then {c.helper_name} the {c.helper} came by. "Why are you sad?" asked {c.helper_name}.',
                f'On the road {c.name} met {c.helper_name} the {c.helper}. "What is wrong?" asked {c.helper_name}.',
            ]
        ),
        rng.choice(
            [
                f'"I lost my {c.thing}," said {c.name}. "Let us look together," said {c.helper_name}.',
                f'"My {c.color} {c.thing} is gone," said {c.name}. "I will help you," said {c.helper_name}.',
            ]
        ),
        f"They walked to the {c.place} and looked everywhere. At last they found the {c.thing} {spot}.",
        rng.choice(
            [
                f"{c.name} thanked {c.helper_name} and they became good friends.",
                f'"Thank you!" said {c.name}. From that day on they were best friends.',
                f"{c.name} was so happy that they danced all the way home.",
            ]
        ),
    ]


def storm(rng, c: Cast) -> list[str]:
    return [
        rng.choice(
            [
                f"Every evening {c.name} sat outside and watched the clouds.",
                f"{c.name} was making soup when the sky turned dark.",
            ]
        ),
        rng.choice(
            ["Suddenly a big storm began.", "Then the wind began to howl and the rain came down."]
        ),
        rng.choice(
            [
                f"{c.name} heard a small voice. It was {c.helper_name} the {c.helper}, and the door of its house was broken.",
                f"There was a knock at the door. Outside stood {c.helper_name} the {c.helper}, wet and cold.",
            ]
        ),
        rng.choice(
            [
                f'"Come in," said {c.name}. "There is room for two."',
                f'"You can stay here," said {c.name}, and gave {c.helper_name} a warm blanket.',
            ]
        ),
        f"They drank tea and looked at {article(c.color)} {c.thing} while the storm went on.",
        rng.choice(
            [
                f"In the morning the sun came out, and they mended the door together.",
                f"The next day the sky was blue, and {c.name} helped {c.helper_name} to build a new house near the {c.place}.",
            ]
        ),
        rng.choice(
            [
                f"After that, {c.helper_name} came for tea every week.",
                f"They were never afraid of storms again.",
            ]
        ),
    ]


def race(rng, c: Cast) -> list[str]:
    return [
        rng.choice(
            [
                f"Every year there was a great race around the {c.place}.",
                f"One day the animals decided to hold a race to the {c.place}.",
            ]
        ),
        f"The prize was {article(c.color)} {c.thing}.",
        rng.choice(
            [
                f"{c.helper_name} the {c.helper} was the fastest of all and laughed at {c.name}.",
                f'"You can never win," said {c.helper_name} the {c.helper} to {c.name}.',
            ]
        ),
        rng.choice(
            [
                "The race began, and everyone ran as fast as they could.",
                "A whistle blew, and off they went.",
            ]
        ),
        rng.choice(
            [
                f"Halfway, {c.helper_name} fell into a deep hole and could not get out.",
                f"Near the end {c.helper_name} slipped and hurt a foot.",
            ]
        ),
        rng.choice(
            [
                f"{c.name} could have won, but stopped to help.",
                f"{c.name} stopped at once and helped {c.helper_name} to stand up.",
            ]
        ),
        rng.choice(
            [
                f"They crossed the line together, and the {c.thing} was given to both of them.",
                f"They finished last, but everyone cheered, and {c.helper_name} gave {c.name} the {c.thing}.",
            ]
        ),
        rng.choice(
            [
                "A kind heart is worth more than fast feet.",
                f'"A friend is the best prize," said {c.helper_name}.',
            ]
        ),
    ]


def secret(rng, c: Cast) -> list[str]:
    return [
        rng.choice(
            [
                f"One day {c.name} found an old map under the floor.",
                f"One afternoon the wind blew an old map to {c.name}'s door.",
            ]
        ),
        f"{article(c.color).capitalize()} line on the map led to the {c.place}.",
        rng.choice(
            [
                f"{c.name} asked {c.helper_name} the {c.helper} to come along.",
                f'"Let us follow it," said {c.helper_name} the {c.helper}, who was always ready for an adventure.',
            ]
        ),
        rng.choice(
            [
                "They crossed a stream, climbed a hill and walked through a dark tunnel.",
                "They walked all day, over two hills and across a narrow bridge.",
            ]
        ),
        f"At the end of the line they dug a hole and found a box. Inside was {article(c.thing)} and a short letter.",
        rng.choice(
            [
                'The letter said: "The real treasure is the walk you took together."',
                'The letter said: "Whoever finds this has a good friend."',
            ]
        ),
        rng.choice(
            [
                f"{c.name} and {c.helper_name} laughed and went home, tired and happy.",
                f"They kept the {c.thing} on the shelf and told the story many times.",
            ]
        ),
    ]


def learn(rng, c: Cast) -> list[str]:
    skill = rng.choice(["swim", "sing", "dance", "read", "cook", "climb", "paint", "whistle"])
    return [
        f"{c.name} wanted to learn to {skill}, but it was very hard.",
        rng.choice(
            [
                f"The first time {c.name} tried, everyone laughed.",
                f"{c.name} tried once, tried twice, and nearly gave up.",
            ]
        ),
        rng.choice(
            [
                f'An old {c.helper} named {c.helper_name} saw it and smiled. "Practice a little every day," said {c.helper_name}.',
                f'{c.helper_name} the {c.helper} said: "Nobody can {skill} on the first day. Try again tomorrow."',
            ]
        ),
        f"So every morning {c.name} went to the {c.place} and practiced.",
        rng.choice(
            [
                "On Monday it went badly. On Wednesday it went a little better. On Sunday it went well.",
                "Day after day it became easier.",
            ]
        ),
        rng.choice(
            [
                f"At last {c.name} could {skill} better than anyone in the {c.place}.",
                f"After a month {c.name} could {skill} with closed eyes.",
            ]
        ),
        f"{c.helper_name} was proud and gave {c.name} {article(c.color)} {c.thing} as a gift.",
        rng.choice(["Small steps go a long way.", f"And {c.name} never gave up again."]),
    ]


def gift(rng, c: Cast) -> list[str]:
    return [
        f"Soon it was the birthday of {c.helper_name} the {c.helper}, the best friend of {c.name}.",
        rng.choice(
            [
                f"{c.name} wanted to give {c.helper_name} {article(c.color)} {c.thing}, but had no money.",
                f"{c.name} saw {article(c.color)} {c.thing} in a shop, but it cost too much.",
            ]
        ),
        rng.choice(
            [
                f"So {c.name} worked for three days in the {c.place}.",
                f"So {c.name} picked berries near the {c.place} and sold them.",
            ]
        ),
        rng.choice(
            [
                f"On the way to the shop {c.name} met a hungry child and gave away half of the money.",
                f"On the way {c.name} saw a cold bird and bought it a tiny scarf.",
            ]
        ),
        f"Now there was not enough left for the {c.thing}.",
        f"{c.name} went to the party with empty hands and told {c.helper_name} the whole story.",
        rng.choice(
            [
                f'"That story is the best gift of all," said {c.helper_name}, and they ate cake together.',
                f'{c.helper_name} smiled. "You gave it to someone who needed it," said {c.helper_name}. "I am proud of you."',
            ]
        ),
    ]


PLOTS = {"lost": lost, "storm": storm, "race": race, "secret": secret, "learn": learn, "gift": gift}
SUBJECT = {
    "lost": lambda c: f"who loses {article(c.thing)}",
    "storm": lambda c: "and a storm",
    "race": lambda c: "in a race",
    "secret": lambda c: "and an old map",
    "learn": lambda c: "who learns something new",
    "gift": lambda c: "and a birthday gift",
}


def tell(rng, c: Cast, plot: str) -> str:
    """The story as one to three paragraphs."""
    lines = [opening(rng, c)] + PLOTS[plot](rng, c)
    if rng.random() < 0.4:
        cut = rng.randrange(2, len(lines) - 1)
        return " ".join(lines[:cut]) + "\n\n" + " ".join(lines[cut:])
    return " ".join(lines)


def story(rng) -> Example:
    c, plot = draw_cast(rng), rng.choice(sorted(PLOTS))
    verb = rng.choice(["Tell me", "Write", "Please tell me", "Can you tell me", "I would like"])
    kind = rng.choice(["a short story", "a story", "a tiny story"])
    hero = rng.choice(
        [
            f"{article(c.adjective)} {c.animal} named {c.name}",
            f"{c.name} the {c.animal}",
            f"{article(c.adjective)} {c.animal} called {c.name}",
        ]
    )
    words = [c.name, c.animal]
    ask = f"{verb} {kind} about {hero}"
    style = rng.random()
    if style < 0.5:
        ask += f" {SUBJECT[plot](c)}"
        words += [c.thing] if plot == "lost" else []
    elif style < 0.7:
        ask += f" and {c.helper_name} the {c.helper}"
        words += [c.helper_name, c.helper]
    elif style < 0.8:
        ask += f" at the {c.place}"
        words += [c.place]
    return single(
        "story",
        ask + ("?" if verb.startswith("Can") else "."),
        tell(rng, c, plot),
        {"kind": "words", "value": words},
    )


def any_story(rng) -> Example:
    c, plot = draw_cast(rng), rng.choice(sorted(PLOTS))
    ask = rng.choice(
        [
            "Tell me a story.",
            "Tell me a short story.",
            "Write a story.",
            "Tell me a tiny story with a plot.",
            "I would like to hear a story.",
            "A story, please.",
        ]
    )
    return single("any_story", ask, tell(rng, c, plot), None, closed=True)


def _question(rng, c: Cast, plot: str) -> tuple[str, str]:
    options = [
        ("What is the name of the {0}?".format(c.animal), f"The {c.animal} is called {c.name}."),
        ("Who is the hero of the story?", f"The hero is {c.name} the {c.animal}."),
        (
            "What kind of animal is {0}?".format(c.helper_name),
            f"{c.helper_name} is {article(c.helper)}.",
        ),
        ("What kind of animal is {0}?".format(c.name), f"{c.name} is {article(c.animal)}."),
        ("Where did {0} live?".format(c.name), f"{c.name} lived near the {c.place}."),
    ]
    if plot in ("lost", "race", "learn", "gift", "storm"):
        options.append((f"What color was the {c.thing}?", f"The {c.thing} was {c.color}."))
    return rng.choice(options)


def story_question(rng) -> Example:
    """Reading: the story is given, or was told the turn before."""
    c, plot = draw_cast(rng), rng.choice(sorted(PLOTS))
    text = tell(rng, c, plot)
    question, answer = _question(rng, c, plot)
    if rng.random() < 0.5:
        ask = rng.choice(
            [
                f"Read this story and answer the question.\n{text}\n{question}",
                f"{text}\n\n{question}",
                f"{question}\n\n{text}",
            ]
        )
        return single("story_question", ask, answer)
    first = f"Tell me a story about {c.name} the {c.animal} {SUBJECT[plot](c)}."
    turns = (("user", first), ("assistant", text), ("user", question), ("assistant", answer))
    return Example("story_question", turns, {"kind": "exact"})


def plain_text(rng) -> str:
    """A story alone, for plain completions without a chat template."""
    return tell(rng, draw_cast(rng), rng.choice(sorted(PLOTS)))


FAMILIES = [(story, 4.0), (any_story, 0.6), (story_question, 2.0)]
