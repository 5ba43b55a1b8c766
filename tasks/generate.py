#!/usr/bin/env python3
"""Writes the items of hone's own tasks: python3 tasks/generate.py [FOLDER]

The same files every time: the draws come from a generator of our own, so that neither Python's version
nor the machine matters. Everything is made here, from tables and patterns written for this purpose."""
import json
import os
import sys


class Draw:
    """Random numbers (Knuth's MMIX generator, its upper bits)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def one(self, items):
        return items[self.below(len(items))]

    def some(self, items, n):
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(n)]

    def choices(self, right, wrong, n=4):
        """The right one among n − 1 wrong ones, and where it stands."""
        others = self.some([w for w in dict.fromkeys(wrong) if w != right], n - 1)
        answer = self.below(n)
        return others[:answer] + [right] + others[answer:], answer


NAMES = ["Ada", "Ben", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas", "Karla",
         "Leo", "Mira", "Noah", "Olga", "Paul", "Rosa", "Simon", "Tessa", "Victor"]
THINGS = ["apples", "pencils", "stamps", "marbles", "books", "coins", "shells", "cards", "buttons",
          "tickets"]

# --- arithmetic ---


def arithmetic():
    d = Draw(1)
    for i in range(200):
        a, b, c = d.between(12, 99), d.between(3, 60), d.between(2, 9)
        name, other, thing = d.one(NAMES[:10]), d.one(NAMES[10:]), d.one(THINGS)
        kind = i % 10
        if kind == 0:
            q, x = f"What is {a} + {b}?", a + b
        elif kind == 1:
            q, x = f"What is {a + b} - {b}?", a
        elif kind == 2:
            q, x = f"What is {a} times {c}?", a * c
        elif kind == 3:
            q, x = f"What is {a * c} divided by {c}?", a
        elif kind == 4:
            q, x = f"What is ({a} + {b}) * {c}?", (a + b) * c
        elif kind == 5:
            q = (f"{name} has {a + b} {thing} and gives {b} of them to {other}. "
                 f"How many {thing} does {name} have left?")
            x = a
        elif kind == 6:
            q = f"A box holds {a} {thing}. How many {thing} are in {c} such boxes?"
            x = a * c
        elif kind == 7:
            q = (f"{name} buys {c} {thing} at {b} cents each and pays with {c * b + a} cents. "
                 f"How many cents does {name} get back?")
            x = a
        elif kind == 8:
            share = d.one([10, 20, 25, 50, 75])
            whole = 20 * d.between(2, 40)
            q, x = f"What is {share} percent of {whole}?", share * whole // 100
        else:
            q = (f"{name} walks {c} kilometres a day for {b} days and then {a} kilometres more. "
                 f"How many kilometres does {name} walk in all?")
            x = c * b + a
        yield {"id": f"arithmetic/{i}", "question": q, "answer": str(x)}


# --- logic ---


def order_puzzle(d):
    quality, most, least = d.one([("older", "oldest", "youngest"), ("taller", "tallest", "shortest"),
                                  ("faster", "fastest", "slowest"), ("richer", "richest", "poorest")])
    people = d.some(NAMES, 4)
    clues = d.some([f"{a} is {quality} than {b}." for a, b in zip(people, people[1:])], 3)
    end = d.below(2)
    question = f"{' '.join(clues)} Who is the {most if end == 0 else least}?"
    right = people[0] if end == 0 else people[-1]
    return question, right, people


KINDS = ["wugs", "blickets", "daxes", "feps", "zorps", "gazzers", "lorps", "tomas", "mips", "noffs"]


def syllogism(d):
    a, b, c = d.some(KINDS, 3)
    person = d.one(NAMES)
    verdicts = ["Yes", "No", "It cannot be known"]
    form = d.below(6)
    if form == 0:
        return f"All {a} are {b}. All {b} are {c}. Are all {a} {c}?", "Yes", verdicts
    if form == 1:
        return f"All {a} are {b}. No {b} are {c}. Are some {a} {c}?", "No", verdicts
    if form == 2:
        return f"All {a} are {b}. Some {b} are {c}. Are some {a} {c}?", verdicts[2], verdicts
    if form == 3:
        return (f"Every one of the {a} sings. {person} does not sing. Is {person} one of the {a}?",
                "No", verdicts)
    if form == 4:
        return (f"Every one of the {a} sings. {person} sings. Is {person} one of the {a}?",
                verdicts[2], verdicts)
    return (f"If it rains, the {a} stay at home. It rains. Do the {a} stay at home?", "Yes", verdicts)


DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def calendar(d):
    start, steps = d.below(7), d.between(2, 20)
    word = "after" if d.below(2) else "before"
    right = DAYS[(start + (steps if word == "after" else -steps)) % 7]
    return f"Which day of the week is {steps} days {word} a {DAYS[start]}?", right, DAYS


def series(d):
    form, start, step = d.below(3), d.between(1, 9), d.between(2, 9)
    if form == 0:
        terms = [start + step * i for i in range(6)]
    elif form == 1:
        terms = [start * 2**i for i in range(6)]
    else:
        terms = [start + i * (i + 1) // 2 * step for i in range(6)]
    right = terms[5]
    wrong = [right + w for w in (-step, step, 1, -1, 2 * step, 10)]
    return (f"Which number comes next: {', '.join(map(str, terms[:5]))}?", str(right),
            [str(w) for w in wrong])


def logic():
    d = Draw(2)
    seen = set()
    while len(seen) < 160:
        question, right, wrong = (order_puzzle, syllogism, calendar, series)[len(seen) % 4](d)
        if question in seen:
            continue
        choices, answer = d.choices(right, wrong, 3 if len(set(wrong)) == 3 else 4)
        yield {"id": f"logic/{len(seen)}", "question": question, "choices": choices, "answer": answer}
        seen.add(question)


# --- knowledge ---

CAPITALS = """France Paris|Japan Tokyo|Egypt Cairo|Canada Ottawa|Australia Canberra|Brazil Brasília|
Kenya Nairobi|Norway Oslo|Poland Warsaw|Portugal Lisbon|Greece Athens|Turkey Ankara|India New Delhi|
China Beijing|Thailand Bangkok|Vietnam Hanoi|Peru Lima|Chile Santiago|Cuba Havana|Mexico Mexico City|
Argentina Buenos Aires|Austria Vienna|Hungary Budapest|Finland Helsinki|Sweden Stockholm|
Denmark Copenhagen|Ireland Dublin|Iceland Reykjavík|Spain Madrid|Italy Rome|Morocco Rabat|
Ethiopia Addis Ababa|Ghana Accra|Nigeria Abuja|Senegal Dakar|Tunisia Tunis|Iran Tehran|Iraq Baghdad|
Nepal Kathmandu|Mongolia Ulaanbaatar|Indonesia Jakarta|Philippines Manila|Ukraine Kyiv|
Romania Bucharest|Bulgaria Sofia|Serbia Belgrade|Croatia Zagreb|Estonia Tallinn|Latvia Riga|
Lithuania Vilnius|Ecuador Quito|Colombia Bogotá|Uruguay Montevideo|Jordan Amman|Lebanon Beirut"""
ELEMENTS = """hydrogen H|helium He|carbon C|nitrogen N|oxygen O|sodium Na|magnesium Mg|aluminium Al|
silicon Si|phosphorus P|sulfur S|chlorine Cl|potassium K|calcium Ca|iron Fe|nickel Ni|copper Cu|zinc Zn|
silver Ag|tin Sn|iodine I|tungsten W|platinum Pt|gold Au|mercury Hg|lead Pb|uranium U|neon Ne|
lithium Li|fluorine F"""
LANGUAGES = """Brazil=Portuguese|Austria=German|Egypt=Arabic|Mexico=Spanish|Iran=Persian|Israel=Hebrew|
Kenya=Swahili|Greece=Greek|Hungary=Hungarian|Finland=Finnish|Argentina=Spanish|Angola=Portuguese|
Syria=Arabic|Poland=Polish|Netherlands=Dutch|Thailand=Thai|Vietnam=Vietnamese|Japan=Japanese|
Turkey=Turkish|Ukraine=Ukrainian"""
WORKS = """Hamlet=William Shakespeare|Don Quixote=Miguel de Cervantes|Faust=Johann Wolfgang von Goethe|
War and Peace=Leo Tolstoy|Pride and Prejudice=Jane Austen|Moby-Dick=Herman Melville|The Divine Comedy=Dante Alighieri|
Crime and Punishment=Fyodor Dostoevsky|Les Misérables=Victor Hugo|Oliver Twist=Charles Dickens|
The Odyssey=Homer|Frankenstein=Mary Shelley|The Metamorphosis=Franz Kafka|Ulysses=James Joyce|
Dracula=Bram Stoker|Jane Eyre=Charlotte Brontë|The Trial=Franz Kafka|1984=George Orwell|
A Doll's House=Henrik Ibsen|The Cherry Orchard=Anton Chekhov"""
DISCOVERIES = """the theory of general relativity=Albert Einstein|penicillin=Alexander Fleming|
the law of universal gravitation=Isaac Newton|radium=Marie Curie|evolution by natural selection=Charles Darwin|
the periodic table of the elements=Dmitri Mendeleev|vaccination against smallpox=Edward Jenner|
printing with movable type in Europe=Johannes Gutenberg|the moons of Jupiter=Galileo Galilei|
X-rays=Wilhelm Röntgen|the laws of planetary motion=Johannes Kepler|the inheritance of traits in peas=Gregor Mendel|
the dynamite=Alfred Nobel|pasteurisation=Louis Pasteur|the telephone's patent of 1876=Alexander Graham Bell"""
FACTS = [
    ("How many legs does a spider have?", "8", ["6", "10", "4", "12"]),
    ("How many legs does an insect have?", "6", ["8", "4", "10", "12"]),
    ("Which planet is closest to the Sun?", "Mercury", ["Venus", "Mars", "Earth", "Jupiter"]),
    ("Which planet is the largest?", "Jupiter", ["Saturn", "Earth", "Neptune", "Mars"]),
    ("Which planet is known for its bright rings?", "Saturn", ["Mars", "Venus", "Mercury", "Earth"]),
    ("Which gas do plants take in for photosynthesis?", "carbon dioxide",
     ["oxygen", "nitrogen", "hydrogen", "helium"]),
    ("Which gas makes up most of the air?", "nitrogen", ["oxygen", "carbon dioxide", "argon", "hydrogen"]),
    ("At how many degrees Celsius does water freeze?", "0", ["32", "100", "-10", "10"]),
    ("At how many degrees Celsius does water boil at sea level?", "100", ["90", "212", "80", "120"]),
    ("Which organ pumps the blood?", "the heart", ["the liver", "the lungs", "the brain", "the kidneys"]),
    ("Which organ filters the blood and makes urine?", "the kidneys",
     ["the heart", "the lungs", "the stomach", "the skin"]),
    ("How many days has a leap year?", "366", ["365", "364", "367", "360"]),
    ("How many minutes has a day?", "1440", ["1000", "2400", "720", "3600"]),
    ("Which is the largest ocean?", "the Pacific", ["the Atlantic", "the Indian Ocean", "the Arctic", "the Baltic"]),
    ("Which is the highest mountain above sea level?", "Mount Everest",
     ["Mont Blanc", "Kilimanjaro", "Denali", "K2"]),
    ("On which continent is the Sahara?", "Africa", ["Asia", "Europe", "Australia", "South America"]),
    ("On which continent is the Gobi Desert?", "Asia", ["Africa", "Europe", "Australia", "North America"]),
    ("Which animal is a mammal?", "the whale", ["the shark", "the frog", "the eagle", "the salmon"]),
    ("Which animal lays eggs?", "the hen", ["the cow", "the dog", "the horse", "the sheep"]),
    ("What do bees make?", "honey", ["milk", "silk", "wool", "sugar"]),
    ("From which plant is chocolate made?", "cacao", ["coffee", "vanilla", "cane", "tea"]),
    ("How many sides has a hexagon?", "6", ["5", "7", "8", "4"]),
    ("How many degrees has a right angle?", "90", ["45", "180", "60", "360"]),
    ("What is the square root of 144?", "12", ["14", "11", "16", "24"]),
    ("Which number is prime?", "17", ["15", "21", "27", "9"]),
    ("How many strings has a violin?", "4", ["6", "5", "8", "7"]),
    ("How many players of one team are on the field in football (soccer)?", "11", ["9", "10", "12", "15"]),
    ("In which year did the Second World War end?", "1945", ["1918", "1939", "1950", "1941"]),
    ("In which year did people first walk on the Moon?", "1969", ["1957", "1961", "1975", "1980"]),
    ("In which year did the Berlin Wall fall?", "1989", ["1961", "1979", "1991", "1995"]),
    ("What force pulls things towards the Earth?", "gravity", ["magnetism", "friction", "inertia", "pressure"]),
    ("What is frozen water called?", "ice", ["steam", "fog", "dew", "rain"]),
    ("Which metal is liquid at room temperature?", "mercury", ["iron", "gold", "copper", "silver"]),
    ("What does a thermometer measure?", "temperature", ["pressure", "weight", "speed", "humidity"]),
    ("What does a barometer measure?", "air pressure", ["temperature", "rainfall", "wind speed", "distance"]),
    ("Which colour results from mixing blue and yellow paint?", "green", ["purple", "orange", "brown", "red"]),
    ("What is the main language of computers' web pages?", "HTML", ["Latin", "Morse", "BASIC", "SQL"]),
    ("Which vitamin does the skin make in sunlight?", "vitamin D", ["vitamin C", "vitamin A", "vitamin B12", "vitamin K"]),
    ("How many bits has a byte?", "8", ["4", "16", "10", "2"]),
    ("Which instrument has black and white keys?", "the piano", ["the violin", "the flute", "the drum", "the harp"]),
]


def table(text, mark=" "):
    rows = [row.strip().split(mark, 1) for row in text.replace("\n", "").split("|")]
    return [(a.strip(), b.strip()) for a, b in rows]


def knowledge():
    d = Draw(3)
    rows = list(FACTS)
    for text, mark, form in ((CAPITALS, " ", "What is the capital of {}?"),
                             (ELEMENTS, " ", "What is the chemical symbol of {}?"),
                             (LANGUAGES, "=", "Which language do most people in {} speak?"),
                             (WORKS, "=", "Who wrote {}?"), (DISCOVERIES, "=", "Whose name is linked with {}?")):
        pairs = table(text, mark)
        rows += [(form.format(a), b, [other for _, other in pairs]) for a, b in pairs]
    for i, (question, right, wrong) in enumerate(rows):
        choices, answer = d.choices(right, wrong)
        yield {"id": f"knowledge/{i}", "question": question, "choices": choices, "answer": answer}


# --- code ---

# name, what it returns, its body as one expression of `x` (and of the constant k), inputs
PYTHON = [
    ("add_{k}", "x plus {k}", "x + {k}", [0, 5, -7]),
    ("times_{k}", "x times {k}", "x * {k}", [0, 5, -7]),
    ("above_{k}", "the numbers of the list x that are greater than {k}, in their order",
     "[v for v in x if v > {k}]", [[], [1, 9, 3, 12], [{"k": 0}, 50]]),
    ("count_below_{k}", "how many numbers of the list x are less than {k}",
     "sum(v < {k} for v in x)", [[], [1, 9, 3, 12], [100, -5]]),
    ("first_{k}", "the first {k} elements of the list x, or all if there are fewer", "x[:{k}]",
     [[], [1, 2, 3, 4, 5, 6, 7, 8], ["a"]]),
    ("drop_{k}", "the list x without its first {k} elements", "x[{k}:]",
     [[], [1, 2, 3, 4, 5, 6, 7, 8], ["a"]]),
    ("every_{k}", "every {k}th element of the list x, beginning with the first", "x[::{k}]",
     [[], [1, 2, 3, 4, 5, 6, 7, 8, 9], ["a", "b"]]),
    ("repeat_{k}", "the text x written {k} times in a row", "x * {k}", ["", "ab", "x y"]),
    ("divisible_by_{k}", "True if the whole number x can be divided by {k} without remainder, else False",
     "x % {k} == 0", [0, 12, 35, 7]),
    ("power_{k}", "x to the power of {k}", "x ** {k}", [0, 2, -3]),
    ("longer_than_{k}", "the words of the list x that have more than {k} letters",
     "[w for w in x if len(w) > {k}]", [[], ["a", "tree", "mountains"], ["seven77"]]),
    ("clip_{k}", "x, but at most {k}", "min(x, {k})", [0, 100, -4]),
    ("pad_{k}", "the text x with blanks behind it up to a length of {k}", "x.ljust({k})", ["", "ab", "abcdefghijkl"]),
    ("join_numbers_{k}", "the numbers of the list x as text, with {k} hyphens between them",
     "('-' * {k}).join(map(str, x))", [[], [1], [1, 22, 3]]),
]
PYTHON_PLAIN = [
    ("reverse_text", "the text x backwards", "x[::-1]", ["", "abc", "a b"]),
    ("count_vowels", "how many letters of the text x are one of a, e, i, o, u (small letters only)",
     "sum(c in 'aeiou' for c in x)", ["", "banana", "rhythm"]),
    ("is_palindrome", "True if the text x reads the same backwards, else False", "x == x[::-1]", ["", "level", "ab"]),
    ("second_largest", "the second largest of the different numbers in the list x (there are at least two)",
     "sorted(set(x))[-2]", [[1, 2], [5, 5, 3], [9, 1, 4]]),
    ("sum_of_squares", "the sum of the squares of the numbers in the list x", "sum(v * v for v in x)", [[], [1, 2, 3], [-4]]),
    ("sum_of_digits", "the sum of the decimal digits of the whole number x (0 or more)",
     "sum(map(int, str(x)))", [0, 123, 9999]),
    ("unique", "the elements of the list x without repetitions, in the order of their first occurrence",
     "list(dict.fromkeys(x))", [[], [3, 1, 3, 2, 1], ["b", "a", "b"]]),
    ("word_lengths", "a list with the length of each word of the text x (words are parted by blanks)",
     "[len(w) for w in x.split()]", ["", "one three", "a bb ccc"]),
    ("longest_word", "the longest word of the text x, the first one of several (there is at least one)",
     "max(x.split(), key=len)", ["one", "a bb cc", "red green blue"]),
    ("evens", "the even numbers of the list x, in their order", "[v for v in x if v % 2 == 0]", [[], [1, 2, 3, 4], [-2, 0]]),
    ("swap_ends", "the list x with its first and last element exchanged (it has at least two elements)",
     "[x[-1]] + x[1:-1] + [x[0]]", [[1, 2], [1, 2, 3], ["a", "b", "c", "d"]]),
    ("flatten", "the elements of the lists in the list x, as one list", "[v for part in x for v in part]",
     [[], [[1], [2, 3]], [[], ["a"]]]),
    ("initials", "the first letters of the words of the text x, as capitals, without blanks",
     "''.join(w[0].upper() for w in x.split())", ["", "ada lovelace", "one two three"]),
    ("running_sum", "a list whose element i is the sum of the elements 0 to i of the list x",
     "[sum(x[:i + 1]) for i in range(len(x))]", [[], [1, 2, 3], [5, -5, 2]]),
    ("count_words", "a dictionary with how often each word occurs in the text x",
     "{w: x.split().count(w) for w in x.split()}", ["", "a b a", "one"]),
    ("mean", "the arithmetic mean of the numbers in the list x (there is at least one)", "sum(x) / len(x)",
     [[4], [1, 2], [1, 2, 6]]),
    ("spread", "the difference between the largest and the smallest number of the list x (there is at least one)",
     "max(x) - min(x)", [[4], [1, 9, 3], [-5, 5]]),
    ("is_sorted", "True if the numbers of the list x never become smaller, else False",
     "all(a <= b for a, b in zip(x, x[1:]))", [[], [1, 1, 2], [3, 1]]),
    ("caesar", "the text x of small letters with each letter replaced by the next one, z by a",
     "''.join(chr((ord(c) - 96) % 26 + 97) for c in x)", ["", "abc", "xyz"]),
    ("factorial", "the product of the whole numbers from 1 to x (1 for x = 0)",
     "__import__('math').factorial(x)", [0, 1, 5, 10]),
    ("gcd_of_list", "the greatest common divisor of the positive whole numbers in the list x",
     "__import__('math').gcd(*x)", [[4], [12, 18], [5, 10, 15]]),
    ("to_binary", "the whole number x (0 or more) in binary digits, as a text without a prefix",
     "bin(x)[2:]", [0, 5, 64]),
]


def python_item(name, what, body, inputs, k):
    name, what, body = (text.replace("{k}", str(k)) for text in (name, what, body))
    function = eval(f"lambda x: {body}")  # the reference is ours
    inputs = [[k if v == {"k": 0} else v for v in x] if isinstance(x, list) else x for x in inputs]
    tests = [f"assert {name}({x!r}) == {function(x)!r}" for x in inputs]
    prompt = f'def {name}(x):\n    """Return {what}.\n\n    >>> {name}({inputs[1]!r})\n    {function(inputs[1])!r}\n    """\n'
    return {"prompt": prompt, "entry_point": name, "test": "\n".join(tests),
            "reference": f"    return {body}\n"}


def code():
    d = Draw(4)
    rows = [(row, 0) for row in PYTHON_PLAIN]
    for row in PYTHON:
        rows += [(row, k) for k in d.some(range(2, 12), 6)]
    for i, (row, k) in enumerate(rows):
        yield {"id": f"code/{i}", **python_item(*row, k)}


# name, what, parameter list, body, (arguments, value)…
C = [
    ("sum_up_to_{k}", "the sum of all whole numbers from 1 to n that can be divided by {k}", "int n",
     "int s = 0; for (int i = 1; i <= n; i++) if (i % {k} == 0) s += i; return s;",
     lambda k, n: sum(i for i in range(1, n + 1) if i % k == 0), [0, 10, 100]),
    ("power_{k}", "n to the power of {k}", "int n", "int p = 1; for (int i = 0; i < {k}; i++) p *= n; return p;",
     lambda k, n: n**k, [0, 1, 3, -2]),
    ("digits_equal_{k}", "how often the decimal digit {k} occurs in n (n is not negative)", "int n",
     "int c = 0; do { c += n % 10 == {k}; n /= 10; } while (n); return c;",
     lambda k, n: str(n).count(str(k)), [0, 2345, 77788, 112233]),
    ("clamp_{k}", "n, but at least -{k} and at most {k}", "int n",
     "return n > {k} ? {k} : n < -{k} ? -{k} : n;", lambda k, n: max(-k, min(k, n)), [0, 100, -100, 3]),
    ("round_to_{k}", "the largest multiple of {k} that is not greater than n (n is not negative)", "int n",
     "return n / {k} * {k};", lambda k, n: n // k * k, [0, 7, 100]),
    ("is_power_of_{k}", "1 if n is 1 or a power of {k}, else 0 (n is positive)", "int n",
     "while (n % {k} == 0) n /= {k}; return n == 1;",
     lambda k, n: int(n in [k**i for i in range(40)]), [1, 8, 9, 12, 49, 64]),
]
C_PLAIN = [
    ("sum_of_digits", "the sum of the decimal digits of n (n is not negative)", "int n",
     "int s = 0; while (n) { s += n % 10; n /= 10; } return s;", lambda n: sum(map(int, str(n))), [0, 123, 9999]),
    ("is_prime", "1 if n is a prime number, else 0", "int n",
     "if (n < 2) return 0; for (int i = 2; i * i <= n; i++) if (n % i == 0) return 0; return 1;",
     lambda n: int(n > 1 and all(n % i for i in range(2, n))), [0, 1, 2, 9, 97, 91]),
    ("reverse_digits", "n with its decimal digits in the opposite order (n is not negative)", "int n",
     "int r = 0; while (n) { r = r * 10 + n % 10; n /= 10; } return r;", lambda n: int(str(n)[::-1]), [0, 120, 123]),
    ("fibonacci", "the Fibonacci number n, where number 0 is 0 and number 1 is 1", "int n",
     "int a = 0, b = 1; while (n--) { int t = a + b; a = b; b = t; } return a;",
     lambda n: [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55][n], [0, 1, 2, 10]),
    ("factorial", "the product of the whole numbers from 1 to n, 1 for n = 0", "int n",
     "int p = 1; while (n > 1) p *= n--; return p;", lambda n: __import__("math").factorial(n), [0, 1, 5, 10]),
    ("count_bits", "how many binary digits of n are 1 (n is not negative)", "int n",
     "int c = 0; while (n) { c += n & 1; n >>= 1; } return c;", lambda n: bin(n).count("1"), [0, 7, 255, 1024]),
]


def code_c():
    d = Draw(5)
    rows = [(name, what, params, body, function, inputs) for name, what, params, body, function, inputs in C_PLAIN]
    for name, what, params, body, function, inputs in C:
        for k in d.some(range(2, 10), 8):
            rows.append((name.replace("{k}", str(k)), what.replace("{k}", str(k)), params,
                         body.replace("{k}", str(k)), lambda n, f=function, k=k: f(k, n), inputs))
    rows += array_functions(d)
    for i, (name, what, params, body, function, inputs) in enumerate(rows):
        prompt = f"#include <string.h>\n\n/* Returns {what}. */\nint {name}({params}) {{\n"
        checks = "\n".join(f"    if ({name}({arguments(x)}) != {function(x)}) return {n + 1};"
                           for n, x in enumerate(inputs))
        yield {"id": f"code_c/{i}", "prompt": prompt, "entry_point": name,
               "test": f"int main(void) {{\n{checks}\n    return 0;\n}}\n", "reference": f"    {body}\n}}\n"}


def array_functions(d):
    params = "const int *x, int n"
    lists = [[4], [1, 9, 3, 12], [-5, 5, 0, -5], [7, 7, 7, 2, 8, 40]]
    rows = []
    for name, what, update, function in (
            ("count_above_{k}", "how many of the n numbers x are greater than {k}", "r += x[i] > {k};",
             lambda k, x: sum(v > k for v in x)),
            ("sum_below_{k}", "the sum of those of the n numbers x that are less than {k}",
             "if (x[i] < {k}) r += x[i];", lambda k, x: sum(v for v in x if v < k)),
            ("count_multiples_{k}", "how many of the n numbers x can be divided by {k}",
             "r += x[i] % {k} == 0;", lambda k, x: sum(v % k == 0 for v in x)),
            ("weighted_{k}", "the sum of the n numbers x, each taken {k} times", "r += {k} * x[i];",
             lambda k, x: k * sum(x)),
            ("distance_{k}", "the sum of the distances of the n numbers x from {k}",
             "r += x[i] > {k} ? x[i] - {k} : {k} - x[i];", lambda k, x: sum(abs(v - k) for v in x))):
        for k in d.some(range(2, 12), 10):
            body = f"int r = 0; for (int i = 0; i < n; i++) {{ {update.replace('{k}', str(k))} }} return r;"
            rows.append((name.replace("{k}", str(k)), what.replace("{k}", str(k)), params, body,
                         lambda x, f=function, k=k: f(k, x), lists))
    return rows


def arguments(x):
    if isinstance(x, list):
        return f"(const int[]){{{', '.join(map(str, x))}}}, {len(x)}"
    return str(x)


# --- instruction ---

TOPICS = ["the sea", "a bicycle", "winter", "bread", "libraries", "the moon", "a garden", "trains",
          "cooking rice", "dogs", "mountains", "rain", "a market", "music", "sleep"]


# --- the two functions of the published benchmark of strategies, in every language of the sandbox ---

# suffix: signatures and bodies of both; how a test says that a call gives a value
PRIME_CASES = [0, 1, 2, 3, 4, 9, 17, 25, 49, 91, 97, 121, 7919, 7921]
FIBONACCI_CASES = [0, 1, 2, 3, 7, 10, 20, 46]
PRIME_SHOWN, FIBONACCI_SHOWN = [7, 8], [5, 6]
FUNCTIONS_IN = {
    "": ("def is_prime(n):\n", "def fibonacci(n):\n",
         "    if n < 2:\n        return False\n    i = 2\n    while i * i <= n:\n        if n % i == 0:\n"
         "            return False\n        i += 1\n    return True\n",
         "    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n"),
    "_js": ("function is_prime(n) {\n", "function fibonacci(n) {\n",
            "  if (n < 2) return false;\n  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;\n  return true;\n}\n",
            "  let a = 0, b = 1;\n  for (let i = 0; i < n; i++) [a, b] = [b, a + b];\n  return a;\n}\n"),
    "_c": ("int is_prime(int n) {\n", "long long fibonacci(int n) {\n",
           "    if (n < 2) return 0;\n    for (int i = 2; i * i <= n; i++) if (n % i == 0) return 0;\n    return 1;\n}\n",
           "    long long a = 0, b = 1;\n    while (n-- > 0) { long long t = a + b; a = b; b = t; }\n    return a;\n}\n"),
    "_cpp": ("bool is_prime(int n) {\n", "long long fibonacci(int n) {\n",
             "    if (n < 2) return false;\n    for (int i = 2; i * i <= n; i++) if (n % i == 0) return false;\n    return true;\n}\n",
             "    long long a = 0, b = 1;\n    while (n-- > 0) { long long t = a + b; a = b; b = t; }\n    return a;\n}\n"),
    "_rs": ("fn is_prime(n: u32) -> bool {\n", "fn fibonacci(n: u32) -> u64 {\n",
            "    if n < 2 { return false; }\n    let mut i = 2;\n    while i * i <= n { if n % i == 0 { return false; } i += 1; }\n    true\n}\n",
            "    let (mut a, mut b) = (0u64, 1u64);\n    for _ in 0..n { let t = a + b; a = b; b = t; }\n    a\n}\n"),
}


def is_prime(n):
    return n > 1 and all(n % i for i in range(2, int(n**0.5) + 1))


def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def in_language(suffix, value):
    if isinstance(value, bool):
        return {"": str(value), "_c": str(int(value))}.get(suffix, str(value).lower())
    return str(value)


def assertions(suffix, name, function, cases):
    """Statements that end the program with an error where a call gives another value."""
    form = {"": "assert {0}({1}) == {2}", "_js": "if ({0}({1}) !== {2}) throw new Error('{0}({1}) is not {2}');",
            "_rs": "assert_eq!({0}({1}), {2}, \"{0}({1})\");"}.get(suffix, "    if ({0}({1}) != {2}) return {3};")
    lines = [form.format(name, n, in_language(suffix, function(n)), i + 1) for i, n in enumerate(cases)]
    if suffix in ("_c", "_cpp"):
        lines = ["int main(void) {"] + lines + ["    return 0;", "}"]
    return "\n".join(lines)


def prime_fibonacci(suffix):
    comment = {"": "# ", "_c": "// ", "_cpp": "// ", "_js": "// ", "_rs": "// "}[suffix]
    prime, fib, prime_body, fib_body = FUNCTIONS_IN[suffix]
    for name, what, lines, head, body, function, cases, shown in (
            ("is_prime", "Tells whether n (0 or more) is a prime number", 15, prime, prime_body, is_prime,
             PRIME_CASES, PRIME_SHOWN),
            ("fibonacci", "Returns the Fibonacci number n, where number 0 is 0 and number 1 is 1", 10, fib, fib_body,
             fibonacci, FIBONACCI_CASES, FIBONACCI_SHOWN)):
        examples = ", ".join(f"{name}({n}) is {in_language(suffix, function(n))}" for n in shown)
        yield {"id": f"prime_fibonacci{suffix}/{name}", "prompt": f"{comment}{what}: {examples}.\n{head}",
               "lines": lines, "entry_point": name, "examples": assertions(suffix, name, function, shown),
               "test": assertions(suffix, name, function, cases), "reference": body}


def instruction():
    d = Draw(6)
    for i in range(120):
        topic, word = d.one(TOPICS), d.one(["light", "stone", "river", "friend", "window"])
        n = d.between(2, 5)
        rules = [
            ("Do not use any commas.", "punctuation:no_comma", {}),
            (f"Use at least {20 * n} words.", "length_constraints:number_words",
             {"relation": "at least", "num_words": 20 * n}),
            (f"Use fewer than {15 * n} words.", "length_constraints:number_words",
             {"relation": "less than", "num_words": 15 * n}),
            (f"Include the word \"{word}\".", "keywords:existence", {"keywords": [word]}),
            (f"Do not use the words \"very\" and \"{word}\".", "keywords:forbidden_words",
             {"forbidden_words": ["very", word]}),
            ("Write everything in lower case letters and in English.", "change_case:english_lowercase", {}),
            ("Write everything in capital letters and in English.", "change_case:english_capital", {}),
            (f"Write exactly {n} bullet points, each on a line that begins with \"* \".",
             "detectable_format:number_bullet_lists", {"num_bullets": n}),
            ("Give it a title between double angular brackets, such as <<My title>>.",
             "detectable_format:title", {}),
            ("Put your whole answer between double quotation marks.", "startend:quotation", {}),
            (f"End with exactly these words: \"That is all about {topic}.\"", "startend:end_checker",
             {"end_phrase": f"That is all about {topic}."}),
            ("Answer with one JSON object and nothing else.", "detectable_format:json_format", {}),
            (f"Write exactly {n} paragraphs with *** between them.", "length_constraints:number_paragraphs",
             {"num_paragraphs": n}),
            (f"Use at least {n} placeholders in square brackets, such as [name].",
             "detectable_content:number_placeholders", {"num_placeholders": n}),
            ("Add a postscript that begins with P.S.", "detectable_content:postscript",
             {"postscript_marker": "P.S."}),
            (f"Use the word \"{word}\" at least {n} times.", "keywords:frequency",
             {"keyword": word, "frequency": n, "relation": "at least"}),
            (f"Highlight at least {n} parts with *asterisks*.",
             "detectable_format:number_highlighted_sections", {"num_highlights": n}),
        ]
        first = rules[i % len(rules)]
        clashes = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 15: 4}
        second = d.below(len(rules))
        fits = second != i % len(rules) and clashes.get(i % len(rules)) != second and \
            clashes.get(second) != i % len(rules) and first[1] != "detectable_format:json_format" and \
            rules[second][1] not in ("detectable_format:json_format", "startend:quotation", first[1])
        chosen = [first, rules[second]] if i >= 60 and fits else [first]
        yield {"id": f"instruction/{i}",
               "prompt": f"Write a short text about {topic}. {' '.join(rule[0] for rule in chosen)}",
               "instruction_id_list": [rule[1] for rule in chosen], "kwargs": [rule[2] for rule in chosen]}


# --- multilingual ---

SUMS = {
    "en": ("{a} has {x} {t} and buys {y} more. How many {t} does {a} have now?",
           "{a} has {x} {t} and loses {y} of them. How many {t} are left?",
           "There are {x} boxes with {y} {t} each. How many {t} are there in all?", ["apples", "books", "pens"]),
    "de": ("{a} hat {x} {t} und kauft {y} dazu. Wie viele {t} hat {a} jetzt?",
           "{a} hat {x} {t} und verliert {y} davon. Wie viele {t} bleiben übrig?",
           "Es gibt {x} Kisten mit je {y} {t}. Wie viele {t} sind es insgesamt?", ["Äpfel", "Bücher", "Stifte"]),
    "fr": ("{a} a {x} {t} et en achète {y} de plus. Combien de {t} {a} a-t-il maintenant ?",
           "{a} a {x} {t} et en perd {y}. Combien de {t} reste-t-il ?",
           "Il y a {x} boîtes de {y} {t} chacune. Combien de {t} y a-t-il en tout ?", ["pommes", "livres", "stylos"]),
    "es": ("{a} tiene {x} {t} y compra {y} más. ¿Cuántos {t} tiene {a} ahora?",
           "{a} tiene {x} {t} y pierde {y}. ¿Cuántos {t} quedan?",
           "Hay {x} cajas con {y} {t} cada una. ¿Cuántos {t} hay en total?", ["libros", "lápices", "limones"]),
    "it": ("{a} ha {x} {t} e ne compra altri {y}. Quanti {t} ha {a} adesso?",
           "{a} ha {x} {t} e ne perde {y}. Quanti {t} restano?",
           "Ci sono {x} scatole con {y} {t} ciascuna. Quanti {t} ci sono in tutto?", ["libri", "limoni", "fiori"]),
    "pt": ("{a} tem {x} {t} e compra mais {y}. Quantos {t} tem {a} agora?",
           "{a} tem {x} {t} e perde {y}. Quantos {t} sobram?",
           "Há {x} caixas com {y} {t} cada uma. Quantos {t} há ao todo?", ["livros", "lápis", "limões"]),
}


def multilingual():
    d = Draw(7)
    for i in range(25):
        for lang, (more, less, boxes, things) in SUMS.items():
            x, y = d.between(10, 60), d.between(2, 9)
            form, value = ((more, x + y), (less, x - y), (boxes, x * y))[i % 3]
            question = form.format(a=d.one(NAMES), x=x, y=y, t=d.one(things))
            yield {"id": f"multilingual/{lang}/{i}", "lang": lang, "question": question, "answer": str(value)}


# Sentences are subject + verb phrase + place, chosen so that they can be put together in any way.
PARTS = {
    "subject": [("My sister", "Meine Schwester", "Ma sœur", "Mi hermana", "Mia sorella"),
                ("The teacher", "Der Lehrer", "Le professeur", "El profesor", "Il professore"),
                ("Our neighbour", "Unser Nachbar", "Notre voisin", "Nuestro vecino", "Il nostro vicino"),
                ("The old man", "Der alte Mann", "Le vieil homme", "El anciano", "Il vecchio"),
                ("A young woman", "Eine junge Frau", "Une jeune femme", "Una mujer joven", "Una giovane donna"),
                ("The child", "Das Kind", "L'enfant", "El niño", "Il bambino")],
    "verb": [("reads a book", "liest ein Buch", "lit un livre", "lee un libro", "legge un libro"),
             ("drinks coffee", "trinkt Kaffee", "boit du café", "bebe café", "beve il caffè"),
             ("writes a letter", "schreibt einen Brief", "écrit une lettre", "escribe una carta",
              "scrive una lettera"),
             ("is waiting for the bus", "wartet auf den Bus", "attend le bus", "espera el autobús",
              "aspetta l'autobus"),
             ("sings a song", "singt ein Lied", "chante une chanson", "canta una canción", "canta una canzone")],
    "place": [("in the garden", "im Garten", "dans le jardin", "en el jardín", "in giardino"),
              ("at the station", "am Bahnhof", "à la gare", "en la estación", "alla stazione"),
              ("in the kitchen", "in der Küche", "dans la cuisine", "en la cocina", "in cucina"),
              ("near the river", "in der Nähe des Flusses", "près de la rivière", "cerca del río", "vicino al fiume")],
}


def translation():
    d = Draw(8)
    languages = [("de", "German"), ("fr", "French"), ("es", "Spanish"), ("it", "Italian")]
    seen = set()
    while len(seen) < 120:
        parts = tuple(d.one(PARTS[name]) for name in ("subject", "verb", "place"))
        which = len(seen) % 4
        if (parts, which) in seen:
            continue
        sentence = [" ".join(part[n] for part in parts) + "." for n in (0, which + 1)]
        yield {"id": f"translation/{languages[which][0]}/{len(seen)}", "lang": languages[which][0],
               "language": languages[which][1], "text": sentence[0], "reference": sentence[1]}
        seen.add((parts, which))


# --- reading ---

PLACES = ["Lisbon", "Oslo", "Vienna", "Prague", "Dublin", "Athens", "Riga", "Porto"]
JOBS = ["baker", "pilot", "teacher", "doctor", "painter", "farmer", "engineer", "librarian"]
PETS = ["cat", "dog", "parrot", "rabbit", "tortoise", "canary"]
COLOURS = ["red", "blue", "green", "yellow", "white", "black"]


def article(word):
    return "an" if word[0] in "aeiou" else "a"


def reading():
    d = Draw(9)
    for i in range(120):
        people = d.some(NAMES, 3)
        facts = list(zip(people, d.some(PLACES, 3), d.some(JOBS, 3), d.some(PETS, 3), d.some(COLOURS, 3),
                         d.some(range(20, 70), 3)))
        text = " ".join(
            f"{p} lives in {place} and works as {article(job)} {job}. {p} is {age} years old, drives a {colour} car and "
            f"has a {pet}." for p, place, job, pet, colour, age in facts)
        person, place, job, pet, colour, age = d.one(facts)
        question, right, wrong = [
            (f"Where does {person} live?", place, PLACES), (f"What does {person} work as?", job, JOBS),
            (f"What pet does {person} have?", pet, PETS), (f"What colour is the car of {person}?", colour, COLOURS),
            (f"Who lives in {place}?", person, NAMES), (f"Who has a {pet}?", person, NAMES)][i % 6]
        near = [row[{0: 1, 1: 2, 2: 3, 3: 4}.get(i % 6, 0)] for row in facts]
        others = [w for w in near if w != right]
        extra = d.one([w for w in wrong if w not in near])
        choices, answer = d.choices(right, others + [extra])
        yield {"id": f"reading/{i}", "passage": text, "question": question, "choices": choices, "answer": answer}


# --- summary ---


def summary():
    d = Draw(10)
    events = [("a new bridge", "opened", "after three years of work"), ("the old theatre", "was closed", "for repairs"),
              ("a music festival", "began", "in spite of the rain"), ("the town library", "reopened", "with twice the room"),
              ("a market hall", "was sold", "to a group of farmers"), ("the football club", "won the cup", "for the first time")]
    for i in range(100):
        what, did, how = events[i % len(events)]
        place, person, n = d.one(PLACES), d.one(NAMES), d.between(200, 900)
        day, job = d.one(DAYS), d.one(JOBS)
        weather = d.one(["It was a warm day.", "The streets were full of people.", "Buses ran all day."])
        text = (f"{place}, {day}. In {place} {what} {did} on {day} {how}. {weather} About {n} people came to see "
                f"it, among them the {job} {person}, who said that nobody had expected so many visitors. The mayor "
                f"thanked all who had helped, and promised that there would be more to come next year.")
        reference = f"In {place} {what} {did} on {day} {how}, and about {n} people came to see it."
        yield {"id": f"summary/{i}", "text": text, "reference": reference}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    for make in (arithmetic, logic, knowledge, code, code_c, instruction, multilingual, translation, reading, summary):
        with open(os.path.join(folder, make.__name__ + ".jsonl"), "w", encoding="utf-8") as out:
            for item in make():
                out.write(json.dumps(item, ensure_ascii=False) + "\n")
    for suffix in FUNCTIONS_IN:
        with open(os.path.join(folder, f"prime_fibonacci{suffix}.jsonl"), "w", encoding="utf-8") as out:
            for item in prime_fibonacci(suffix):
                out.write(json.dumps(item, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
