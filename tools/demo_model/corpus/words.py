"""Word lists that every family of the corpus draws from; plain data, our own selection."""

NAMES = """Anna Ben Clara David Emma Felix Grace Hugo Iris Jonas Kira Leo Mia Noah Olga Paul Rosa Sam Tara Victor Wendy
Yusuf Zoe Amir Bella Carlos Diana Elias Fatima George Hanna Ivan Julia Karim Lena Marco Nina Oscar Petra Quentin Rita
Simon Tina Uma Vera Walter Xenia Yara Zack Ada Bruno Chloe Dario Edith Frank Greta Henry Ines Jack Kate Lucas Maria
Nora Omar Priya Ralf Sofia Theo Ursula Vince Willa""".split()

PET_NAMES = """Milo Pip Luna Bruno Daisy Rusty Nilo Tuk Bella Fern Oto Juno Pepper Misty Bobo Tilly Rocco Suki Zaza Kip
Ollie Poppy Momo Hazel Bingo Lulu Toby Coco Willow Max""".split()

ANIMALS = """fox rabbit bear owl mouse cat dog turtle hedgehog squirrel frog duck goat horse sheep pig lion tiger elephant
monkey penguin otter beaver wolf deer crow parrot snail bee ant whale dolphin seal camel donkey goose""".split()

OBJECTS = """key lamp book hat kite drum boat clock map coat ball bell basket letter ring spoon ladder blanket bottle
candle mirror umbrella whistle scarf button bucket brush pencil cup box""".split()

PLACES = """forest village river garden mountain beach market farm lake harbor meadow castle library island valley
bakery school desert cave bridge tower park""".split()

ADJECTIVES = """brave small quiet happy clever old young kind lazy proud shy curious tired cheerful careful patient gentle
hungry lonely friendly""".split()

COLORS = "red blue green yellow orange purple white black brown pink gray gold".split()
FRUITS = "apple banana pear cherry grape lemon mango peach plum melon kiwi orange".split()
VEGETABLES = (
    "carrot potato onion tomato cabbage pepper bean pea spinach cucumber pumpkin garlic".split()
)
JOBS = (
    "teacher doctor farmer baker pilot nurse painter driver cook gardener engineer writer".split()
)
TOOLS = "hammer saw drill wrench screwdriver pliers shovel rake axe chisel".split()
CLOTHES = "shirt coat hat scarf sock shoe glove jacket sweater belt dress cap".split()
FURNITURE = "table chair bed sofa shelf desk lamp cupboard stool bench".split()
INSTRUMENTS = "piano guitar violin drum flute trumpet harp cello clarinet banjo".split()
SPORTS = "football tennis swimming running cycling rowing boxing skating hockey golf".split()
DRINKS = "water tea coffee milk juice lemonade cocoa soda".split()
VEHICLES = "car bus train bicycle boat truck plane tram ship tractor".split()
SHAPES = "circle square triangle rectangle oval star cube sphere cone pyramid".split()
PLANETS = "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = (
    "January February March April May June July August September October November December".split()
)
FLOWERS = "rose tulip daisy lily violet poppy orchid iris sunflower".split()
TREES = "oak pine birch maple willow cedar elm ash beech".split()
BIRDS = "owl crow parrot eagle swan robin duck goose sparrow gull".split()
METALS = "iron gold silver copper tin zinc lead nickel".split()

# Plural heading -> members; lists are asked for and checked by these.
CATEGORIES = {
    "fruits": FRUITS,
    "vegetables": VEGETABLES,
    "animals": ANIMALS[:24],
    "colors": COLORS,
    "jobs": JOBS,
    "tools": TOOLS,
    "clothes": CLOTHES,
    "pieces of furniture": FURNITURE,
    "instruments": INSTRUMENTS,
    "sports": SPORTS,
    "drinks": DRINKS,
    "vehicles": VEHICLES,
    "shapes": SHAPES,
    "planets": PLANETS,
    "flowers": FLOWERS,
    "trees": TREES,
    "birds": BIRDS,
    "metals": METALS,
}

CAPITALS = {
    "France": "Paris",
    "Germany": "Berlin",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Portugal": "Lisbon",
    "Norway": "Oslo",
    "Sweden": "Stockholm",
    "Finland": "Helsinki",
    "Denmark": "Copenhagen",
    "Poland": "Warsaw",
    "Austria": "Vienna",
    "Hungary": "Budapest",
    "Greece": "Athens",
    "Turkey": "Ankara",
    "Russia": "Moscow",
    "Ukraine": "Kyiv",
    "Ireland": "Dublin",
    "Iceland": "Reykjavik",
    "Belgium": "Brussels",
    "Switzerland": "Bern",
    "Romania": "Bucharest",
    "Bulgaria": "Sofia",
    "Croatia": "Zagreb",
    "Serbia": "Belgrade",
    "Egypt": "Cairo",
    "Kenya": "Nairobi",
    "Morocco": "Rabat",
    "Ghana": "Accra",
    "Ethiopia": "Addis Ababa",
    "Nigeria": "Abuja",
    "Tunisia": "Tunis",
    "Japan": "Tokyo",
    "China": "Beijing",
    "India": "New Delhi",
    "Thailand": "Bangkok",
    "Vietnam": "Hanoi",
    "Indonesia": "Jakarta",
    "Mongolia": "Ulaanbaatar",
    "Nepal": "Kathmandu",
    "Iran": "Tehran",
    "Iraq": "Baghdad",
    "Canada": "Ottawa",
    "Mexico": "Mexico City",
    "Cuba": "Havana",
    "Brazil": "Brasília",
    "Argentina": "Buenos Aires",
    "Chile": "Santiago",
    "Peru": "Lima",
    "Colombia": "Bogotá",
    "Uruguay": "Montevideo",
    "Australia": "Canberra",
    "New Zealand": "Wellington",
}

CONTINENTS = {
    "Europe": """France Germany Italy Spain Portugal Norway Sweden Finland Denmark Poland Austria Hungary Greece Ireland
Belgium Switzerland Romania Bulgaria Croatia Serbia Ukraine Iceland""".split(),
    "Africa": "Egypt Kenya Morocco Ghana Ethiopia Nigeria Tunisia".split(),
    "Asia": "Japan China India Thailand Vietnam Indonesia Mongolia Nepal Iran Iraq".split(),
    "North America": "Canada Mexico Cuba".split(),
    "South America": "Brazil Argentina Chile Peru Colombia Uruguay".split(),
}

OPPOSITES = dict(
    pair.split(":")
    for pair in """hot:cold big:small up:down left:right day:night happy:sad fast:slow
old:young open:closed light:dark full:empty hard:soft high:low long:short rich:poor strong:weak wet:dry early:late
clean:dirty loud:quiet thick:thin wide:narrow near:far new:old good:bad true:false love:hate begin:end win:lose buy:sell
give:take push:pull remember:forget inside:outside above:below front:back first:last always:never black:white
heavy:light deep:shallow sweet:sour cheap:expensive easy:difficult brave:afraid polite:rude safe:dangerous
awake:asleep alive:dead sharp:blunt smooth:rough tall:short warm:cool come:go laugh:cry arrive:leave build:destroy
question:answer friend:enemy success:failure summer:winter north:south east:west""".split()
)

PAST_TENSE = dict(
    pair.split(":")
    for pair in """go:went see:saw eat:ate run:ran sing:sang take:took write:wrote give:gave
come:came drink:drank swim:swam fly:flew know:knew think:thought buy:bought bring:brought teach:taught catch:caught
sleep:slept keep:kept leave:left find:found make:made say:said tell:told sell:sold stand:stood break:broke speak:spoke
choose:chose drive:drove ride:rode fall:fell grow:grew throw:threw begin:began win:won lose:lost build:built
send:sent""".split()
)

PLURALS = dict(
    pair.split(":")
    for pair in """cat:cats dog:dogs box:boxes fox:foxes bus:buses baby:babies city:cities
child:children mouse:mice foot:feet tooth:teeth man:men woman:women goose:geese sheep:sheep leaf:leaves knife:knives
wolf:wolves book:books tree:trees glass:glasses story:stories lady:ladies shelf:shelves key:keys boy:boys
day:days fish:fish tomato:tomatoes potato:potatoes""".split()
)

SOUNDS = {
    "dog": "woof",
    "cat": "meow",
    "cow": "moo",
    "duck": "quack",
    "sheep": "baa",
    "pig": "oink",
    "horse": "neigh",
    "bee": "buzz",
    "owl": "hoot",
    "frog": "croak",
    "lion": "roar",
    "mouse": "squeak",
    "rooster": "cock-a-doodle-doo",
    "snake": "hiss",
    "crow": "caw",
}

LEGS = {
    "dog": 4,
    "cat": 4,
    "horse": 4,
    "spider": 8,
    "ant": 6,
    "bee": 6,
    "duck": 2,
    "owl": 2,
    "cow": 4,
    "snake": 0,
    "fish": 0,
    "chicken": 2,
    "goat": 4,
    "fly": 6,
    "frog": 4,
    "person": 2,
}

SPELLING_WORDS = sorted(
    set(
        ANIMALS
        + OBJECTS
        + PLACES
        + COLORS
        + FRUITS
        + VEGETABLES
        + JOBS
        + TOOLS
        + CLOTHES
        + FURNITURE
        + INSTRUMENTS
        + SPORTS
        + VEHICLES
        + FLOWERS
        + """morning evening winter summer spring autumn window kitchen bottle paper friend family water
sugar bread butter cheese chocolate breakfast dinner holiday weather thunder rainbow shadow silver yellow question answer
language computer keyboard number letter doctor hospital station airport bicycle tomorrow yesterday birthday elephant
giraffe crocodile butterfly""".split()
    )
)

SYLLABLES = """ba be bi bo bu da de di do du fa fe fi fo fu ga ge gi go gu ka ke ki ko ku la le li lo lu ma me mi mo mu na
ne ni no nu pa pe pi po pu ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo vu za ze zi zo zu bran tren flam
grin plok stur drel krom""".split()


def article(noun: str) -> str:
    """The noun with "a" or "an"."""
    return ("an " if noun[0].lower() in "aeiou" else "a ") + noun
