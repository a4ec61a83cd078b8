"""Plain facts with one answer each, and true-or-false questions about them."""

from .example import Example, single
from .words import CAPITALS, CONTINENTS, DAYS, LEGS, MONTHS, SOUNDS

COUNTRY_CONTINENT = {
    country: continent for continent, countries in CONTINENTS.items() for country in countries
}

# (subject, answer sentence, phrasings of the question)
PLAIN = [
    ("What color is the sky on a clear day?", "The sky is blue on a clear day."),
    ("What color is grass?", "Grass is green."),
    ("What color is snow?", "Snow is white."),
    ("What color is a ripe banana?", "A ripe banana is yellow."),
    ("What color is coal?", "Coal is black."),
    ("What do bees make?", "Bees make honey."),
    ("What do cows eat?", "Cows eat grass."),
    ("What do cows give us?", "Cows give us milk."),
    ("Where do fish live?", "Fish live in water."),
    ("How many minutes are in an hour?", "There are 60 minutes in an hour."),
    ("How many seconds are in a minute?", "There are 60 seconds in a minute."),
    ("How many hours are in a day?", "There are 24 hours in a day."),
    ("How many days are in a week?", "There are 7 days in a week."),
    ("How many months are in a year?", "There are 12 months in a year."),
    ("How many days are in a year?", "There are 365 days in a year, and 366 in a leap year."),
    ("How many weeks are in a year?", "There are 52 weeks in a year."),
    ("How many legs does a spider have?", "A spider has 8 legs."),
    ("How many sides does a triangle have?", "A triangle has 3 sides."),
    ("How many sides does a square have?", "A square has 4 sides."),
    ("How many wheels does a bicycle have?", "A bicycle has 2 wheels."),
    ("How many letters are in the English alphabet?", "The English alphabet has 26 letters."),
    ("How many planets are in the solar system?", "There are 8 planets in the solar system."),
    ("What is the largest planet?", "Jupiter is the largest planet."),
    ("What is the smallest planet?", "Mercury is the smallest planet."),
    ("Which planet do we live on?", "We live on Earth."),
    ("Which planet has large rings?", "Saturn has large rings."),
    ("Which planet is called the red planet?", "Mars is called the red planet."),
    ("What is the largest ocean?", "The Pacific is the largest ocean."),
    ("What is the largest animal?", "The blue whale is the largest animal."),
    ("What is the tallest animal?", "The giraffe is the tallest animal."),
    ("What is the fastest land animal?", "The cheetah is the fastest land animal."),
    ("What is the highest mountain?", "Mount Everest is the highest mountain."),
    ("What is frozen water called?", "Frozen water is called ice."),
    ("What is water made of?", "Water is made of hydrogen and oxygen."),
    ("What is the symbol for gold?", "The symbol for gold is Au."),
    ("What is the symbol for iron?", "The symbol for iron is Fe."),
    ("What is the symbol for water?", "The formula of water is H2O."),
    ("At what temperature does water boil?", "Water boils at 100 degrees Celsius."),
    ("At what temperature does water freeze?", "Water freezes at 0 degrees Celsius."),
    ("What do plants need to grow?", "Plants need light, water and air to grow."),
    ("What gives us light during the day?", "The sun gives us light during the day."),
    ("What is the closest star to Earth?", "The sun is the closest star to Earth."),
    ("What goes around the Earth?", "The moon goes around the Earth."),
    ("Which season is the coldest?", "Winter is the coldest season."),
    ("Which season is the warmest?", "Summer is the warmest season."),
    ("What do you use to cut paper?", "You use scissors to cut paper."),
    ("What do you use to write?", "You use a pen or a pencil to write."),
    ("Who writes books?", "A writer writes books."),
    ("Who bakes bread?", "A baker bakes bread."),
    ("Who flies a plane?", "A pilot flies a plane."),
    ("Who helps sick people?", "A doctor helps sick people."),
    ("Who teaches children?", "A teacher teaches children."),
    ("What are the primary colors?", "The primary colors are red, yellow and blue."),
    ("What do red and yellow make?", "Red and yellow make orange."),
    ("What do blue and yellow make?", "Blue and yellow make green."),
    ("What do red and blue make?", "Red and blue make purple."),
    ("What do black and white make?", "Black and white make gray."),
    ("What is a baby dog called?", "A baby dog is called a puppy."),
    ("What is a baby cat called?", "A baby cat is called a kitten."),
    ("What is a baby cow called?", "A baby cow is called a calf."),
    ("What is a baby sheep called?", "A baby sheep is called a lamb."),
    ("How many bits are in a byte?", "There are 8 bits in a byte."),
    ("How many cents are in a dollar?", "There are 100 cents in a dollar."),
    ("How many meters are in a kilometer?", "There are 1000 meters in a kilometer."),
]
PREFIXES = [
    "",
    "",
    "",
    "Please tell me: ",
    "Quick question: ",
    "Tell me, ",
    "I would like to know: ",
    "Do you know this? ",
    "A question: ",
]


def plain(rng) -> Example:
    question, answer = rng.choice(PLAIN)
    prefix = rng.choice(PREFIXES)
    if prefix.endswith(", "):
        question = question[0].lower() + question[1:]
    return single("plain", prefix + question, answer)


def capital(rng) -> Example:
    country = rng.choice(sorted(CAPITALS))
    city = CAPITALS[country]
    if rng.random() < 0.25:
        ask = rng.choice(
            [
                f"{city} is the capital of which country?",
                f"Of which country is {city} the capital?",
                f"Which country has {city} as its capital?",
            ]
        )
        return single("capital", ask, f"{city} is the capital of {country}.")
    ask = rng.choice(
        [
            f"What is the capital of {country}?",
            f"Capital of {country}?",
            f"Tell me the capital of {country}.",
            f"Which city is the capital of {country}?",
            f"What is {country}'s capital?",
            f"Name the capital of {country}.",
        ]
    )
    return single(
        "capital", rng.choice(["", "", "Please: "]) + ask, f"The capital of {country} is {city}."
    )


def continent(rng) -> Example:
    country = rng.choice(sorted(COUNTRY_CONTINENT))
    ask = rng.choice(
        [
            f"On which continent is {country}?",
            f"Which continent is {country} in?",
            f"Where is {country}?",
            f"What continent does {country} belong to?",
        ]
    )
    return single("continent", ask, f"{country} is in {COUNTRY_CONTINENT[country]}.")


def calendar(rng) -> Example:
    items, kind = rng.choice([(DAYS, "day"), (MONTHS, "month")])
    index = rng.randrange(len(items))
    here, after, before = items[index], items[(index + 1) % len(items)], items[index - 1]
    if rng.random() < 0.6:
        ask = rng.choice(
            [
                f"What {kind} comes after {here}?",
                f"Which {kind} follows {here}?",
                f"What comes after {here}?",
                f"Which {kind} is next after {here}?",
            ]
        )
        return single("calendar", ask, f"{after} comes after {here}.")
    ask = rng.choice(
        [
            f"What {kind} comes before {here}?",
            f"Which {kind} is just before {here}?",
            f"What comes before {here}?",
        ]
    )
    return single("calendar", ask, f"{before} comes before {here}.")


def sound(rng) -> Example:
    animal = rng.choice(sorted(SOUNDS))
    ask = rng.choice(
        [
            f"What does a {animal} say?",
            f"What sound does a {animal} make?",
            f"Which sound does a {animal} make?",
            f"How does a {animal} sound?",
        ]
    ).replace("a owl", "an owl")
    return single(
        "sound", ask, f"{'An' if animal == 'owl' else 'A'} {animal} says {SOUNDS[animal]}."
    )


def legs(rng) -> Example:
    animal = rng.choice(sorted(LEGS))
    word = ("an " if animal[0] in "ao" else "a ") + animal
    ask = rng.choice(
        [
            f"How many legs does {word} have?",
            f"How many legs has {word}?",
            f"Tell me how many legs {word} has.",
        ]
    )
    return single(
        "legs",
        ask,
        (
            f"{word.capitalize()} has {LEGS[animal]} legs."
            if LEGS[animal]
            else f"{word.capitalize()} has no legs."
        ),
    )


def true_or_false(rng) -> Example:
    country, other = rng.sample(sorted(CAPITALS), 2)
    city = CAPITALS[country] if rng.random() < 0.5 else CAPITALS[other]
    ask = rng.choice(
        [
            f"True or false: {city} is the capital of {country}.",
            f"Is {city} the capital of {country}?",
        ]
    )
    word = (
        ("True." if ask.startswith("True") else "Yes.")
        if city == CAPITALS[country]
        else ("False." if ask.startswith("True") else "No.")
    )
    return single("true_or_false", ask, f"{word} The capital of {country} is {CAPITALS[country]}.")


FAMILIES = [
    (plain, 3.0),
    (capital, 3.0),
    (continent, 1.0),
    (calendar, 1.0),
    (sound, 0.6),
    (legs, 0.5),
    (true_or_false, 1.0),
]
