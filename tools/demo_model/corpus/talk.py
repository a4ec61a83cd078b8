"""Small talk, who-are-you, system prompts that set a name or a manner, and remembering what the user said."""

from .example import Example, single
from .words import ANIMALS, CAPITALS, COLORS, FRUITS, JOBS, NAMES, OPPOSITES, PET_NAMES, SPORTS

GREETINGS = [
    "Hi",
    "Hello",
    "Hey",
    "Good morning",
    "Good evening",
    "Good afternoon",
    "Hi there",
    "Hello there",
    "Hey there",
    "Greetings",
]
REPLIES = [
    "How can I help you today?",
    "What can I do for you?",
    "What would you like to talk about?",
    "How can I help?",
]

IDENTITY = [
    (
        [
            "Who are you?",
            "What are you?",
            "Tell me who you are.",
            "Introduce yourself.",
            "What is your name?",
            "What's your name?",
            "Who is this?",
        ],
        "I am the Runahead demo model, a very small language model. I can chat, count, do simple sums, tell tiny stories and edit text.",
    ),
    (
        [
            "What can you do?",
            "How can you help me?",
            "What are you good at?",
            "What do you know?",
            "Help",
            "Can you help me?",
        ],
        "I can do simple arithmetic, count, spell words, name opposites and capitals, make lists, tell tiny stories, copy and edit text, and answer as JSON.",
    ),
    (
        ["Who made you?", "Who trained you?", "Where do you come from?", "How were you made?"],
        "I was trained by the Runahead project on text written by its own generator.",
    ),
    (
        [
            "How big are you?",
            "How many parameters do you have?",
            "Are you a large model?",
            "How large are you?",
        ],
        "I am tiny: about five million parameters. Large models have billions.",
    ),
    (
        [
            "What is Runahead?",
            "Tell me about Runahead.",
            "Explain Runahead.",
            "What does Runahead do?",
        ],
        "Runahead is an inference server for language models. It serves chat answers over HTTP and gRPC, batches requests together, and uses a small draft model to run ahead of a larger one.",
    ),
    (
        [
            "What is speculative decoding?",
            "Explain speculative decoding.",
            "How does speculative decoding work?",
        ],
        "In speculative decoding a small draft model guesses the next few tokens, and the large target model checks them all in one step. Guesses that fit are kept, so the answer is the same but comes sooner.",
    ),
    (
        [
            "Are you a human?",
            "Are you human?",
            "Are you a real person?",
            "Are you a robot?",
            "Are you an AI?",
        ],
        "No, I am not a person. I am a small language model that runs inside Runahead.",
    ),
    (
        ["Can you see pictures?", "Can you browse the web?", "Can you search the internet?"],
        "No, I only work with the text you give me.",
    ),
    (
        ["Do you make mistakes?", "Are you always right?", "Can I trust you?"],
        "I do make mistakes. I am a very small model, so please check what I say.",
    ),
]

CHAT = [
    (
        [
            "How are you?",
            "How are you today?",
            "How is it going?",
            "How do you do?",
            "How are you doing?",
        ],
        [
            "I am doing well, thank you. How are you?",
            "Very well, thank you. And you?",
            "I am fine, thanks for asking. What can I do for you?",
        ],
    ),
    (
        [
            "I am fine.",
            "I am fine, thanks.",
            "I am doing well.",
            "Good, thank you.",
            "Great, thanks!",
        ],
        [
            "I am glad to hear that. What would you like to do?",
            "That is good to hear. How can I help?",
        ],
    ),
    (
        ["I am sad.", "I feel sad today.", "I had a bad day.", "I am not feeling well."],
        [
            "I am sorry to hear that. Would you like to hear a small story?",
            "I am sorry. I hope tomorrow is a better day.",
        ],
    ),
    (
        ["I am bored.", "I have nothing to do.", "What should I do today?"],
        [
            "How about a short walk, a good book, or a tiny story from me?",
            "You could draw a picture, call a friend, or ask me for a story.",
        ],
    ),
    (
        [
            "Thanks",
            "Thank you",
            "Thank you!",
            "Thanks a lot!",
            "Many thanks.",
            "Thank you very much.",
        ],
        ["You are welcome!", "You are welcome. I am glad I could help.", "My pleasure!"],
    ),
    (
        ["Bye", "Goodbye", "Good night", "See you later", "See you tomorrow", "Goodbye!"],
        ["Goodbye! Have a nice day.", "Goodbye, and come back soon.", "See you soon!"],
    ),
    (
        ["Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Say something funny."],
        [
            "Why did the bicycle fall over? Because it was two tired.",
            "What do you call a bear with no teeth? A gummy bear.",
            "Why did the book look sad? It had too many problems.",
            "What gets wetter the more it dries? A towel.",
            "Why do bees hum? Because they do not know the words.",
        ],
    ),
    (
        ["Yes", "Yes, please.", "Sure", "Okay", "OK"],
        ["Great! Tell me what you would like.", "Good. What shall we do?"],
    ),
    (
        ["No", "No, thank you.", "Not now."],
        [
            "That is fine. Just ask when you need something.",
            "All right. I am here when you need me.",
        ],
    ),
    (
        ["What time is it?", "What is the date today?", "What day is it today?"],
        ["I cannot see a clock or a calendar, so I do not know."],
    ),
    (
        ["What is the weather like?", "Will it rain tomorrow?", "Is it cold outside?"],
        ["I cannot see outside, so I do not know the weather."],
    ),
    (
        ["asdf", "qwerty", "blah blah", "???", "hmm", "..."],
        [
            "I did not understand that. Could you say it in other words?",
            "I am not sure what you mean. Could you ask again?",
        ],
    ),
]

LIKES = {"color": COLORS, "fruit": FRUITS, "animal": ANIMALS, "sport": SPORTS}


def greeting(rng) -> Example:
    mark = rng.choice(["", "!", "."])
    return single(
        "greeting",
        rng.choice(GREETINGS) + mark,
        f"{rng.choice(['Hello', 'Hi'])}! {rng.choice(REPLIES)}",
        None,
        closed=True,
    )


def named_greeting(rng) -> Example:
    name = rng.choice(NAMES)
    intro = rng.choice(["my name is", "I am", "I'm", "this is"])
    text = f"{rng.choice(GREETINGS)}{rng.choice([',', '!', '.'])} {intro} {name}."
    text = (
        text.replace("! my", "! My")
        .replace(". my", ". My")
        .replace("! this", "! This")
        .replace(". this", ". This")
    )
    return single(
        "named_greeting",
        text,
        f"Hello, {name}! {rng.choice(REPLIES)}",
        {"kind": "contains", "value": name},
    )


def identity(rng) -> Example:
    questions, answer = rng.choice(IDENTITY)
    prefix = rng.choice(["", "", "", "Hi! ", "Hello. ", "Please tell me: "])
    return single("identity", prefix + rng.choice(questions), answer, closed=True)


def chat(rng) -> Example:
    prompts, answers = rng.choice(CHAT)
    return single("chat", rng.choice(prompts), rng.choice(answers), None, closed=True)


def favorite(rng) -> Example:
    kind = rng.choice(sorted(LIKES))
    thing = rng.choice(LIKES[kind])
    first = rng.choice(
        [
            f"My favorite {kind} is {thing}.",
            f"I like {thing} best. It is my favorite {kind}.",
            f"Please remember that my favorite {kind} is {thing}.",
        ]
    )
    second = rng.choice(
        [
            f"What is my favorite {kind}?",
            f"Which {kind} do I like best?",
            f"Do you remember my favorite {kind}?",
        ]
    )
    turns = [
        ("user", first),
        ("assistant", f"I will remember that your favorite {kind} is {thing}."),
        ("user", second),
        ("assistant", f"Your favorite {kind} is {thing}."),
    ]
    return Example("favorite", tuple(turns), {"kind": "exact"})


def name_recall(rng) -> Example:
    name, job = rng.choice(NAMES), rng.choice(JOBS)
    about, question, answer = rng.choice(
        [
            (f"My name is {name} and I am a {job}.", "What is my name?", f"Your name is {name}."),
            (f"My name is {name} and I am a {job}.", "What is my job?", f"You are a {job}."),
            (
                f"I am {name}. I work as a {job}.",
                "Do you remember my name?",
                f"Yes, your name is {name}.",
            ),
            (
                f"I am {name}. I work as a {job}.",
                "What do I do for a living?",
                f"You work as a {job}.",
            ),
            (f"Call me {name}.", "What should you call me?", f"I should call you {name}."),
        ]
    )
    turns = (
        ("user", about),
        ("assistant", f"Nice to meet you, {name}! {rng.choice(REPLIES)}"),
        ("user", question),
        ("assistant", answer),
    )
    return Example("name_recall", turns, {"kind": "exact"})


def persona(rng) -> Example:
    name, job = rng.choice(PET_NAMES + NAMES), rng.choice(JOBS)
    system = rng.choice(
        [
            f"You are {name}, a friendly {job}.",
            f"Your name is {name}. You are a {job}.",
            f"You are a {job} called {name}. Be brief.",
        ]
    )
    question, answer = rng.choice(
        [
            ("What is your name?", f"My name is {name}."),
            ("Who are you?", f"I am {name}, a {job}."),
            ("What is your job?", f"I am a {job}."),
            ("Hello!", f"Hello! I am {name}, a {job}. How can I help you?"),
            ("What do you do?", f"I am {name}, and I work as a {job}."),
        ]
    )
    return Example(
        "persona",
        (("system", system), ("user", question), ("assistant", answer)),
        {"kind": "exact"},
    )


MANNERS = [
    ("Answer in upper case.", str.upper),
    ("Answer in capital letters only.", str.upper),
    ("Answer in lower case.", str.lower),
    ("Always end with: Over and out.", lambda text: text + " Over and out."),
    ("Always begin with: Of course!", lambda text: "Of course! " + text),
    ("Put every answer in quotes.", lambda text: f'"{text}"'),
    ("You are a pirate. Begin with Arr!", lambda text: "Arr! " + text),
]


def manner(rng) -> Example:
    system, change = rng.choice(MANNERS)
    country, word = rng.choice(sorted(CAPITALS)), rng.choice(sorted(OPPOSITES))
    question, answer = rng.choice(
        [
            (
                f"What is the capital of {country}?",
                f"The capital of {country} is {CAPITALS[country]}.",
            ),
            (f"What is the opposite of {word}?", f"The opposite of {word} is {OPPOSITES[word]}."),
            ("How are you?", "I am doing well, thank you."),
            ("Say hello.", "Hello! How can I help you today?"),
        ]
    )
    return Example(
        "manner",
        (("system", system), ("user", question), ("assistant", change(answer))),
        {"kind": "exact"},
    )


FAMILIES = [
    (greeting, 1.0),
    (named_greeting, 1.2),
    (identity, 3.0),
    (chat, 3.0),
    (favorite, 1.0),
    (name_recall, 1.5),
    (persona, 1.5),
    (manner, 2.0),
]
