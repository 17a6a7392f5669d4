"""The questions of the retention guard, as compact tables: one template and one list of `word = answer` a kind.

Alternatives that are also right are separated by `|`. Kinds and items were chosen by what a small instruct model can
do as a kind; items that it happens to get wrong were kept, because choosing items by one model's answers would let
chance alone pull that model's score down at the next look (regression to the mean). Nothing here is arithmetic. What
this module does not cover: splits, prompts and scoring, which `retention` owns.
"""

from __future__ import annotations

ITEMS: dict[str, tuple[str, str]] = {
    "capital": (
        "What is the capital of {}?",
        """France = Paris; Germany = Berlin; Italy = Rome; Spain = Madrid; Portugal = Lisbon; England = London;
        Ireland = Dublin; Scotland = Edinburgh; Norway = Oslo; Sweden = Stockholm; Denmark = Copenhagen;
        Finland = Helsinki; Poland = Warsaw; Austria = Vienna; Hungary = Budapest; Greece = Athens; Russia = Moscow;
        Ukraine = Kyiv|Kiev; Turkey = Ankara; Egypt = Cairo; Kenya = Nairobi; Japan = Tokyo; China = Beijing;
        India = New Delhi; Thailand = Bangkok; Vietnam = Hanoi; Indonesia = Jakarta; Australia = Canberra;
        New Zealand = Wellington; Canada = Ottawa; Mexico = Mexico City; Cuba = Havana; Argentina = Buenos Aires;
        Chile = Santiago; Peru = Lima; Colombia = Bogota|Bogotá; Brazil = Brasilia|Brasília; Iran = Tehran;
        Iraq = Baghdad; Saudi Arabia = Riyadh; Israel = Jerusalem; the Netherlands = Amsterdam; Belgium = Brussels;
        the Czech Republic = Prague; Romania = Bucharest; Bulgaria = Sofia; Iceland = Reykjavik|Reykjavík;
        South Korea = Seoul; the Philippines = Manila; the United States = Washington""",
    ),
    "continent": (
        "On which continent is {}?",
        """France = Europe; Germany = Europe; Spain = Europe; Italy = Europe; Poland = Europe; Sweden = Europe;
        Norway = Europe; Greece = Europe; Kenya = Africa; Nigeria = Africa; Egypt = Africa; Ethiopia = Africa;
        Ghana = Africa; Morocco = Africa; Tanzania = Africa; Japan = Asia; China = Asia; India = Asia;
        Thailand = Asia; Vietnam = Asia; Nepal = Asia; Mongolia = Asia; Brazil = South America; Peru = South America;
        Chile = South America; Argentina = South America; Bolivia = South America; Canada = North America;
        Mexico = North America; the Sahara Desert = Africa; Mount Everest = Asia; the Amazon rainforest = South America;
        the Nile River = Africa; the city of Paris = Europe; the city of Tokyo = Asia; the city of Cairo = Africa""",
    ),
    "language": (
        "What is the main language that people speak in {}?",
        """France = French; Germany = German; Italy = Italian; Spain = Spanish; Portugal = Portuguese; England = English;
        Poland = Polish; Sweden = Swedish; Norway = Norwegian; Denmark = Danish; Finland = Finnish; Greece = Greek;
        Turkey = Turkish; Russia = Russian; Ukraine = Ukrainian; Hungary = Hungarian; Romania = Romanian;
        Japan = Japanese; China = Chinese|Mandarin; Korea = Korean; Thailand = Thai; Vietnam = Vietnamese;
        Egypt = Arabic; Saudi Arabia = Arabic; Iran = Persian|Farsi; Mexico = Spanish; Argentina = Spanish;
        Brazil = Portuguese; Australia = English; Austria = German; Cuba = Spanish; the United States = English""",
    ),
    "opposite": (
        "What is the opposite of '{}'?",
        """hot = cold; big = small|little; fast = slow; happy = sad|unhappy; up = down; left = right; day = night;
        black = white; good = bad|evil; rich = poor; old = new|young; young = old; light = dark|darkness|heavy;
        open = closed|close|shut; wet = dry; hard = soft|easy; early = late; strong = weak; full = empty;
        high = low; clean = dirty; loud = quiet|soft|silent; love = hate|hatred; war = peace; begin = end|finish;
        buy = sell; win = lose; push = pull; true = false; first = last; inside = outside; above = below|beneath;
        sweet = sour|bitter; thick = thin; wide = narrow; long = short; tall = short; cheap = expensive;
        brave = cowardly|coward|afraid|fearful; friend = enemy|foe; success = failure; always = never;
        north = south; east = west; summer = winter; life = death; success in war = defeat; asleep = awake""",
    ),
    "plural": (
        "What is the plural of the word '{}'?",
        """cat = cats; dog = dogs; house = houses; book = books; tree = trees; car = cars; apple = apples;
        box = boxes; bus = buses; dish = dishes; church = churches; baby = babies; city = cities; story = stories;
        lady = ladies; party = parties; child = children; man = men; woman = women; foot = feet; tooth = teeth;
        mouse = mice; goose = geese; leaf = leaves; knife = knives; wolf = wolves; wife = wives; life = lives;
        person = people|persons; river = rivers; window = windows; flower = flowers; teacher = teachers;
        brother = brothers; potato = potatoes; tomato = tomatoes; hero = heroes; boy = boys; key = keys; day = days""",
    ),
    "past tense": (
        "What is the past tense of the verb '{}'?",
        """go = went; eat = ate; see = saw; run = ran; come = came; take = took; give = gave; write = wrote;
        speak = spoke; drink = drank; swim = swam; sing = sang; begin = began; break = broke; buy = bought;
        bring = brought; think = thought; teach = taught; catch = caught; sleep = slept; keep = kept; feel = felt;
        leave = left; find = found; know = knew; grow = grew; fly = flew; drive = drove; win = won; sit = sat;
        make = made; say = said; tell = told; walk = walked; play = played; work = worked; jump = jumped;
        help = helped; talk = talked; look = looked; stop = stopped; try = tried; study = studied; carry = carried""",
    ),
    "spanish": (
        "How do you say '{}' in Spanish?",
        """hello = hola; goodbye = adios|adiós; thank you = gracias; please = por favor; water = agua; house = casa;
        cat = gato; dog = perro; friend = amigo|amiga; book = libro; red = rojo|roja; white = blanco|blanca;
        black = negro|negra; blue = azul; green = verde; day = dia|día; night = noche; sun = sol; moon = luna;
        love = amor|amar; family = familia; mother = madre; father = padre; good morning = buenos dias|buenos días;
        good night = buenas noches; yes = si|sí; milk = leche; bread = pan; city = ciudad; school = escuela;
        man = hombre; woman = mujer; boy = niño|chico|muchacho; heart = corazon|corazón; table = mesa; fish = pescado|pez""",
    ),
    "french": (
        "How do you say '{}' in French?",
        """hello = bonjour|salut; goodbye = au revoir|adieu; thank you = merci; please = s'il vous plaît|s'il te plaît;
        good evening = bonsoir; water = eau|l'eau; house = maison; cat = chat; dog = chien; friend = ami|amie|l'ami;
        book = livre; red = rouge; white = blanc|blanche; black = noir|noire; blue = bleu|bleue; green = vert|verte;
        day = jour|journée; night = nuit; sun = soleil; moon = lune; love = amour|l'amour|aimer; family = famille;
        mother = mère; father = père; good night = bonne nuit; yes = oui; milk = lait; bread = pain; city = ville;
        school = école|l'école; man = homme|l'homme; woman = femme""",
    ),
    "sequence": (
        "{}?",
        """Which day of the week comes after Monday = Tuesday; Which day of the week comes after Tuesday = Wednesday;
        Which day of the week comes after Wednesday = Thursday; Which day of the week comes after Thursday = Friday;
        Which day of the week comes after Friday = Saturday; Which day of the week comes after Saturday = Sunday;
        Which month comes after January = February; Which month comes after February = March;
        Which month comes after March = April; Which month comes after April = May; Which month comes after May = June;
        Which month comes after June = July; Which month comes after July = August;
        Which month comes after August = September; Which month comes after September = October;
        Which month comes after October = November; Which month comes after November = December;
        Which season comes after winter = spring; Which season comes after spring = summer;
        Which season comes after summer = autumn|fall; Which season comes after autumn = winter;
        Which letter of the alphabet comes after A = B; Which letter of the alphabet comes after B = C;
        Which letter of the alphabet comes after C = D; Which letter of the alphabet comes after D = E""",
    ),
    "copy": (
        "Repeat this sentence exactly: {}",
        """The cat sat on the mat.; The sun is shining today.; My brother likes to play football.;
        She bought a red dress.; We went to the beach last summer.; The train leaves in the morning.;
        He is reading a book about birds.; The children are playing in the garden.; I like coffee with milk.;
        The dog barked at the mailman.; It is raining in London.; They live in a small village.;
        The teacher wrote on the board.; My favorite color is blue.; The soup is too hot to eat.;
        Birds fly south in the winter.; The old man told a story.; She plays the piano very well.;
        The door was left open.; Our neighbors have a black cat.; The river flows to the sea.;
        He forgot his keys at home.; The baby is sleeping now.; Fresh bread smells wonderful.;
        The library is closed on Sunday.; We planted a tree in the park.; The movie was long and boring.;
        A gentle wind moved the leaves.; The farmer has many sheep.; Please close the window.;
        The bus was late again.; I lost my umbrella yesterday.; The moon is bright tonight.;
        Her sister works in a hospital.; The cake was sweet and soft.; The boat sailed across the lake.;
        He painted the wall green.; The mountain is covered with snow.; The phone rang in the night.;
        Everyone enjoyed the music.""",
    ),
    "colour": (
        "What color is {}?",
        """grass = green; the sky on a clear day = blue; snow = white; blood = red; a ripe banana = yellow; coal = black;
        milk = white; a lemon = yellow; chocolate = brown; a carrot = orange; the sun in a child's drawing = yellow|orange;
        a ripe strawberry = red; a stop sign = red; a fire truck = red; spinach = green; cotton = white; salt = white;
        a polar bear = white; a crow = black; a school bus = yellow; a pine tree = green; a frog = green; mud = brown;
        a pumpkin = orange; a flamingo = pink; a ripe tomato = red; the ocean = blue; a cucumber = green; an emerald = green;
        a ruby = red; a sapphire = blue; gold = gold|yellow|golden; an orange = orange; charcoal = black|gray|grey""",
    ),
    "category": (
        "What do these things have in common: {}?",
        """apple, banana, orange = fruit|fruits; carrot, onion, cabbage = vegetable|vegetables;
        dog, cat, horse = animal|animals|mammals|pets; red, blue, green = color|colors|colour|colours;
        rose, tulip, daisy = flower|flowers; piano, guitar, violin = instrument|instruments|music|musical;
        France, Spain, Italy = country|countries|Europe|European; Mars, Venus, Jupiter = planet|planets|solar system;
        hammer, saw, screwdriver = tool|tools; shirt, trousers, jacket = clothes|clothing|garments|worn|wear;
        eagle, sparrow, robin = bird|birds; salmon, tuna, cod = fish; oak, pine, maple = tree|trees;
        chair, table, sofa = furniture; gold, silver, copper = metal|metals; football, tennis, basketball = sport|sports;
        car, bus, truck = vehicle|vehicles|transportation|transport; ant, bee, beetle = insect|insects|bugs;
        English, French, German = language|languages; circle, square, triangle = shape|shapes|geometric;
        Monday, Tuesday, Friday = day|days|week; spring, summer, autumn = season|seasons; lion, tiger, leopard = cats|animals|big cat;
        snake, lizard, crocodile = reptile|reptiles; doctor, teacher, lawyer = job|jobs|profession|professions|professionals;
        tea, coffee, juice = drink|drinks|beverage|beverages; Paris, London, Berlin = city|cities|capital|capitals;
        Atlantic, Pacific, Indian = ocean|oceans; arm, leg, hand = body|limbs; hydrogen, oxygen, carbon = element|elements""",
    ),
    "young": (
        "What is a baby {} called?",
        """dog = puppy|pup; cat = kitten; cow = calf; horse = foal; sheep = lamb; pig = piglet; goat = kid; duck = duckling;
        goose = gosling; chicken = chick; bear = cub; lion = cub; kangaroo = joey; deer = fawn; frog = tadpole; swan = cygnet""",
    ),
    "place": (
        "What do you call {}?",
        """a place where you can borrow books = library; a person who flies an airplane = pilot; a place where sick people are treated = hospital;
        a person who teaches students = teacher|educator; a place where bread is baked and sold = bakery; a person who cooks in a restaurant = chef|cook;
        a person who writes books = author|writer; a place where airplanes land = airport|runway; a person who puts out fires = firefighter|fireman|firefighters;
        a doctor who takes care of teeth = dentist; a doctor who takes care of animals = veterinarian|vet; a place where movies are shown = cinema|theater|theatre|movie theater;
        a person who paints pictures = painter|artist; a place where you can see wild animals in cages = zoo; a room where food is cooked = kitchen;
        a room where people sleep = bedroom; a person who grows crops = farmer; the frozen form of water = ice; a person who studies the stars = astronomer;
        a place where money is kept = bank|vault; a person who cuts hair = barber|hairdresser|hairstylist|stylist; a building where kings live = palace|castle;
        a machine that washes dishes = dishwasher; a person who plays music = musician; a person who acts in films = actor|actress;
        a place where children go to learn = school; the season when leaves fall = autumn|fall; a story about someone's own life = autobiography|memoir""",
    ),
    "author": (
        "Who {}?",
        """wrote Romeo and Juliet = Shakespeare; wrote Hamlet = Shakespeare; wrote Pride and Prejudice = Austen;
        wrote Oliver Twist = Dickens; wrote Harry Potter = Rowling; wrote The Odyssey = Homer; painted the Mona Lisa = Leonardo|da Vinci;
        painted The Starry Night = Gogh; wrote War and Peace = Tolstoy; wrote Don Quixote = Cervantes; wrote 1984 = Orwell;
        wrote Animal Farm = Orwell; wrote The Great Gatsby = Fitzgerald; wrote Frankenstein = Shelley; wrote Moby Dick = Melville;
        wrote The Hobbit = Tolkien; wrote The Lord of the Rings = Tolkien; proposed the theory of relativity = Einstein;
        discovered penicillin = Fleming; invented the telephone = Bell; invented the light bulb = Edison; wrote the Divine Comedy = Dante;
        was the first president of the United States = Washington; was the first person to walk on the moon = Armstrong;
        developed the theory of evolution by natural selection = Darwin; discovered gravity when an apple fell = Newton;
        wrote A Christmas Carol = Dickens; wrote Macbeth = Shakespeare; wrote To Kill a Mockingbird = Lee; composed the Moonlight Sonata = Beethoven;
        painted the ceiling of the Sistine Chapel = Michelangelo; wrote Jane Eyre = Bronte|Brontë; wrote The Adventures of Tom Sawyer = Twain""",
    ),
    "fact": (
        "{}?",
        """What is the largest planet in the solar system = Jupiter; Which planet is closest to the Sun = Mercury;
        Which planet is known as the Red Planet = Mars; What is the largest ocean on Earth = Pacific; What is the highest mountain in the world = Everest;
        What gas do plants take in from the air = carbon dioxide|CO2; What gas do people need to breathe = oxygen; What do bees make = honey;
        What is the chemical formula of water = H2O|H₂O; What star does the Earth orbit = Sun; What is frozen water called = ice; What organ pumps blood = heart;
        What organ do people think with = brain; What do cows produce that people drink = milk; What is the largest animal on Earth = whale;
        What is the fastest land animal = cheetah; What is the tallest animal = giraffe; What metal is attracted by magnets = iron;
        What force pulls things to the ground = gravity|gravitational; What is the largest desert in Africa = Sahara; In which country is the Eiffel Tower = France;
        In which country are the pyramids of Giza = Egypt; In which country is the Great Wall = China; In which city is the Colosseum = Rome;
        In which city is the Statue of Liberty = New York; In which city is Big Ben = London; What is the currency of Japan = yen;
        What is the currency of the United States = dollar|dollars|USD; What is the currency of the United Kingdom = pound|pounds|GBP; What do caterpillars turn into = butterfly|butterflies|moth|moths;
        What process do plants use to make food from sunlight = photosynthesis; What is the center of an atom called = nucleus;
        What instrument is used to look at stars = telescope; What instrument measures temperature = thermometer; What part of a plant takes in water from the soil = root|roots;
        What is the hardest natural substance = diamond; What is the natural satellite of the Earth = moon; What is the longest river in Africa = Nile; What is the largest country in the world = Russia""",
    ),
    "saying": (
        "Complete this well-known phrase: {}",
        """An apple a day keeps the doctor... = away; Actions speak louder than... = words; Better late than... = never;
        Practice makes... = perfect; The early bird catches the... = worm; Time is... = money; Honesty is the best... = policy;
        Two wrongs do not make a... = right; A picture is worth a thousand... = words; Once upon a... = time; Happy birthday to... = you;
        Twinkle, twinkle, little... = star; Easier said than... = done; Look before you... = leap; Knowledge is... = power;
        Where there is smoke, there is... = fire; Every cloud has a silver... = lining; Beauty is in the eye of the... = beholder;
        Rome was not built in a... = day; When in Rome, do as the Romans... = do; The pen is mightier than the... = sword;
        All that glitters is not... = gold; You cannot judge a book by its... = cover; Birds of a feather flock... = together""",
    ),
    "sentiment": (
        "Name in one word the feeling that this sentence shows, positive or negative: {}",
        """I love this movie! = positive; The food was terrible. = negative; What a wonderful day! = positive; I hate waiting in line. = negative;
        The hotel was clean and lovely. = positive; The service was rude and slow. = negative; This is the best book ever. = positive;
        The phone broke after a day. = negative; She is a kind and caring teacher. = positive; I am so disappointed. = negative;
        We had a great time together. = positive; The room smelled awful. = negative; I am very happy with it. = positive;
        It was a complete waste of money. = negative; The view was beautiful. = positive; The game is boring. = negative;
        The staff were very friendly. = positive; My order arrived late and cold. = negative; This song makes me smile. = positive; The seat was uncomfortable. = negative""",
    ),
    "symbol": (
        "Which chemical element has the symbol {}?",
        """H = hydrogen; O = oxygen; C = carbon; N = nitrogen; He = helium; Fe = iron; Au = gold; Ag = silver; Na = sodium; Cl = chlorine;
        Ca = calcium; K = potassium; Cu = copper; Zn = zinc; Pb = lead; Mg = magnesium; Al = aluminum|aluminium; Si = silicon; S = sulfur|sulphur; Ne = neon""",
    ),
    "thrice": (
        "Write the word '{}' three times, separated by commas.",
        "apple; dog; river; green; happy; table; moon; house; bread; winter; music; stone; fish; garden; window; train",
    ),
}
