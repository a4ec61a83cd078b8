"""Longer answers: explanations, steps, letters, poems and small programs."""

from .example import Example, single
from .words import ANIMALS, COLORS, FLOWERS, JOBS, NAMES, PLACES

EXPLANATIONS = {
    "rain": "The sun warms the water in seas and lakes, and some of it rises as vapor. High up the air is cold, so the vapor turns into tiny drops that form clouds. When the drops grow heavy, they fall as rain.",
    "a rainbow": "A rainbow appears when the sun shines through drops of rain. Each drop bends the light and splits it into colors. We see red on the outside and violet on the inside.",
    "day and night": "The Earth turns around once every 24 hours. The side that faces the sun has day, and the other side has night. That is why the sun seems to rise and set.",
    "the seasons": "The axis of the Earth is tilted. When our half leans toward the sun, we get more light and it is summer. Half a year later it leans away, and it is winter.",
    "the moon": "The moon is a ball of rock that goes around the Earth in about a month. It has no light of its own. We see it because the sun shines on it.",
    "how plants grow": "A seed needs water and warmth to wake up. It sends a root down and a small stem up. The leaves then use light, air and water to make food for the plant.",
    "how bread is made": "A baker mixes flour, water, salt and yeast into a dough. The yeast makes bubbles, so the dough rises. Then it is baked in a hot oven until the crust is brown.",
    "wind": "The sun warms some places more than others. Warm air rises, and cool air flows in to take its place. That moving air is what we call wind.",
    "snow": "When the air in a cloud is very cold, the water freezes into small crystals of ice. The crystals stick together and form flakes. If the air below is cold too, they fall as snow.",
    "thunder": "Lightning makes the air around it very hot in a moment. The hot air grows so fast that it makes a loud sound. Light is faster than sound, so we see the flash first.",
    "how a bicycle works": "The rider pushes the pedals, and the pedals turn a chain. The chain turns the back wheel, and the bicycle moves. The handlebar turns the front wheel to steer.",
    "how bees make honey": "Bees fly from flower to flower and drink a sweet juice. In the hive they pass it on and let the water dry out of it. What is left is thick and golden: honey.",
    "sleep": "During sleep the body rests and repairs itself. The brain sorts what we learned during the day. That is why we feel fresh after a good night.",
    "a computer": "A computer follows a list of simple steps called a program. It keeps numbers in its memory and works on them very quickly. Text, pictures and music are all stored as numbers.",
    "a language model": "A language model has read a lot of text and learned which word is likely to come next. It writes one token after another. Each token depends on all the tokens before it.",
    "a token": "A token is a small piece of text, often a word or a part of a word. A language model reads and writes tokens instead of letters. A short sentence has about ten of them.",
    "a cache": "A cache keeps results that may be needed again. When the same question comes back, the answer is already there. That saves time, but it takes some memory.",
    "a server": "A server is a program that waits for requests from other programs. It does the work and sends back an answer. Many clients can use one server at the same time.",
    "the tides": "The moon pulls on the water of the sea. The water rises on the side near the moon and on the far side. As the Earth turns, each coast has high water about twice a day.",
    "why the sky is blue": "The light of the sun holds all colors. The air scatters blue light much more than red light. So blue light reaches our eyes from every side of the sky.",
    "how a boat floats": "A boat pushes some water aside. The water pushes back with a force as large as the weight of that water. If the boat weighs no more than that, it floats.",
    "fire": "A fire needs three things: something to burn, air and heat. If one of them is missing, the fire goes out. That is why water or sand can stop a fire.",
}
STEPS = {
    "make tea": [
        "Boil some water.",
        "Put a tea bag in a cup.",
        "Pour the hot water over it.",
        "Wait three minutes.",
        "Take the bag out and enjoy your tea.",
    ],
    "plant a tree": [
        "Dig a wide hole.",
        "Put the young tree into it.",
        "Fill the hole with soil.",
        "Press the soil down with your foot.",
        "Water the tree well.",
    ],
    "wash your hands": [
        "Wet your hands with clean water.",
        "Take some soap.",
        "Rub your hands for twenty seconds.",
        "Rinse them well.",
        "Dry them with a towel.",
    ],
    "make a sandwich": [
        "Take two slices of bread.",
        "Spread butter on them.",
        "Add cheese and tomato.",
        "Put the slices together.",
        "Cut the sandwich in half.",
    ],
    "boil an egg": [
        "Bring a pot of water to a boil.",
        "Put the egg in with a spoon.",
        "Wait seven minutes.",
        "Cool the egg under cold water.",
        "Peel it and add a little salt.",
    ],
    "paint a wall": [
        "Cover the floor with paper.",
        "Clean the wall.",
        "Stir the paint.",
        "Paint from top to bottom.",
        "Let it dry and add a second coat.",
    ],
    "write a letter": [
        "Take a sheet of paper.",
        "Write the date at the top.",
        "Greet the person by name.",
        "Say what you want to say.",
        "Sign it and put it in an envelope.",
    ],
    "brush your teeth": [
        "Put some paste on the brush.",
        "Brush the front, the back and the top of each tooth.",
        "Brush for two minutes.",
        "Spit out the foam.",
        "Rinse the brush.",
    ],
    "bake a cake": [
        "Heat the oven.",
        "Mix flour, sugar, eggs and butter.",
        "Pour the mix into a pan.",
        "Bake it for forty minutes.",
        "Let it cool before you cut it.",
    ],
    "fly a kite": [
        "Wait for a windy day.",
        "Find an open field.",
        "Hold the kite up with your back to the wind.",
        "Let the string out slowly.",
        "Pull a little when the kite sinks.",
    ],
}
EVENTS = [
    "the meeting",
    "the party",
    "lunch",
    "the concert",
    "the lesson",
    "the trip",
    "dinner",
    "the game",
]
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
REASONS = [
    "I am ill",
    "my train is late",
    "I have to work",
    "my car does not start",
    "I am on a trip",
    "my sister is visiting",
]


def explain(rng) -> Example:
    topic, text = rng.choice(sorted(EXPLANATIONS.items()))
    ask = rng.choice(
        [
            f"Explain {topic}.",
            f"Tell me about {topic}.",
            f"Please explain {topic}.",
            f"Can you explain {topic}?",
            f"Explain {topic} in simple words.",
            f"Write a few sentences about {topic}.",
            f"Explain {topic} to a child.",
            f"I would like to understand {topic}.",
        ]
    )
    return single("explain", rng.choice(["", "", "Hi! ", "Hello, "]) + ask, text)


def steps(rng) -> Example:
    task, lines = rng.choice(sorted(STEPS.items()))
    count = rng.choice([3, 4, 5, 5])
    ask = rng.choice(
        [
            f"How do I {task}?",
            f"How can I {task}?",
            f"Tell me how to {task}.",
            f"Explain step by step how to {task}.",
            f"What are the steps to {task}?",
            f"Give me instructions to {task}.",
        ]
    )
    if count < 5:
        ask += f" Give me the first {count} steps."
    return single(
        "steps", ask, "\n".join(f"{i}. {line}" for i, line in enumerate(lines[:count], 1))
    )


def email(rng) -> Example:
    to, sender = rng.sample(NAMES, 2)
    event, day, hour, reason = (
        rng.choice(EVENTS),
        rng.choice(DAYS),
        rng.randrange(8, 21),
        rng.choice(REASONS),
    )
    close = rng.choice(["Best wishes", "Kind regards", "See you soon"])
    if rng.random() < 0.5:
        ask = f"Write a short email from {sender} to {to} about {event} on {day} at {hour}:00."
        body = (
            f"Subject: {event[0].upper() + event[1:]} on {day}\n\nDear {to},\n\nI would like to invite you to {event} on {day} at {hour}:00. "
            f"{rng.choice(['Please let me know if you can come.', 'I hope you can come.', 'Tell me if the time suits you.'])} "
            f"{rng.choice(['I am looking forward to it.', 'It would be nice to see you again.'])}\n\n{close},\n{sender}"
        )
    else:
        ask = f"Write an email from {sender} to {to}. {sender} cannot come to {event} on {day} because {reason.replace('I am', 'of being').replace('I have', 'of having') if reason.startswith('I ') else reason}."
        body = (
            f"Subject: {event[0].upper() + event[1:]} on {day}\n\nDear {to},\n\nI am sorry, but I cannot come to {event} on {day}. "
            f"The reason is that {reason}. {rng.choice(['Could we find another day?', 'I hope you understand.', 'Let us meet another time.'])}\n\n{close},\n{sender}"
        )
    return single("email", ask, body, {"kind": "words", "value": [to, sender, day]})


def poem(rng) -> Example:
    topic = rng.choice(ANIMALS + FLOWERS + ["sun", "moon", "sea", "rain", "night", "snow"])
    color, place = rng.choice(COLORS), rng.choice(PLACES)
    first = rng.choice(
        [
            f"The {topic} is near, the day is bright,",
            f"I saw the {topic} in morning light,",
            f"O little {topic}, {color} and bright,",
        ]
    )
    second = rng.choice(
        [
            "it makes the world feel warm and right.",
            "it was a very pretty sight.",
            "you stay with me all through the night.",
        ]
    )
    third = rng.choice(
        [
            f"Beside the {place} the breezes blow,",
            f"It walks with me where rivers flow,",
            f"Around the {place} the grasses grow,",
        ]
    )
    fourth = rng.choice(
        [
            "and where it goes, my thoughts will go.",
            "and quietly the hours go.",
            "and evening comes so soft and slow.",
        ]
    )
    ask = rng.choice(
        [
            f"Write a short poem about the {topic}.",
            f"Write four lines about the {topic}.",
            f"A poem about the {topic}, please.",
            f"Can you write a poem about the {topic}?",
        ]
    )
    return single(
        "poem", ask, "\n".join([first, second, third, fourth]), {"kind": "words", "value": [topic]}
    )


def day_plan(rng) -> Example:
    name, job = rng.choice(NAMES), rng.choice(JOBS)
    start = rng.randrange(5, 9)
    tasks = [
        "gets up and has breakfast",
        "goes to work",
        "starts the first task",
        "talks with a friend",
        "has lunch",
        "works again",
        "goes home",
        "cooks dinner",
        "reads a book",
        "goes to bed",
    ]
    hours = [start + i * 16 // 10 for i in range(10)]
    ask = rng.choice(
        [
            f"Describe a day of {name} the {job}, starting at {start}:00.",
            f"Write the plan of a day for {name}, a {job}, from {start}:00.",
        ]
    )
    body = f"A day of {name} the {job}:\n" + "\n".join(
        f"{h}:00 - {name} {t}." for h, t in zip(hours, tasks)
    )
    return single("day_plan", ask, body)


CODE = {
    "adds two numbers": ("add", "a, b", ["return a + b"]),
    "multiplies two numbers": ("multiply", "a, b", ["return a * b"]),
    "returns the larger of two numbers": (
        "larger",
        "a, b",
        ["if a > b:", "    return a", "return b"],
    ),
    "counts the words in a text": ("count_words", "text", ["return len(text.split())"]),
    "reverses a string": ("reverse", "text", ["return text[::-1]"]),
    "says whether a number is even": ("is_even", "n", ["return n % 2 == 0"]),
    "sums a list": (
        "total",
        "values",
        ["result = 0", "for value in values:", "    result += value", "return result"],
    ),
    "computes the factorial": (
        "factorial",
        "n",
        ["result = 1", "for i in range(2, n + 1):", "    result *= i", "return result"],
    ),
    "greets a person": ("greet", "name", ['print("Hello, " + name + "!")']),
    "finds the smallest value in a list": (
        "smallest",
        "values",
        [
            "result = values[0]",
            "for value in values:",
            "    if value < result:",
            "        result = value",
            "return result",
        ],
    ),
    "computes the mean of a list": ("mean", "values", ["return sum(values) / len(values)"]),
    "prints the numbers from 1 to n": ("count", "n", ["for i in range(1, n + 1):", "    print(i)"]),
}


def code_text(name: str, task: str) -> str:
    """The function of CODE[task] under another name."""
    _, args, lines = CODE[task]
    return f"def {name}({args}):\n" + "\n".join("    " + line for line in lines)


def code(rng) -> Example:
    task = rng.choice(sorted(CODE))
    name = CODE[task][0]
    ask = rng.choice(
        [
            f"Write a Python function that {task}.",
            f"Give me a Python function which {task}.",
            f"Write Python code: a function that {task}.",
        ]
    )
    if rng.random() < 0.7:
        name = rng.choice(
            [
                "f",
                "run",
                "work",
                "helper",
                "compute",
                "my_" + name,
                "do_" + name,
                name + "_now",
                name + "_it",
                "g",
                "step",
                "solve",
            ]
        )
        ask += rng.choice([f" Call it {name}.", f" Name it {name}.", f" The name is {name}."])
    return single("code", ask, f"```python\n{code_text(name, task)}\n```")


FAMILIES = [(explain, 2.5), (steps, 1.5), (email, 1.5), (poem, 1.0), (day_plan, 0.8), (code, 1.5)]
