"""The questions of the retention guard, as compact tables: one template and one list of `word = answer` a kind.

Items are separated by ";", alternatives that are also right by "|"; without " = " the answer is the word itself. Kinds
were kept by what a small instruct model can do as a kind; items that it happens to get wrong stayed, because choosing
items by one model's answers would let chance alone pull that model's score down at the next look (regression to the
mean). Nothing here is arithmetic. What this module does not cover: splits, prompts and scoring, which `retention` owns.
"""

from __future__ import annotations

ITEMS: dict[str, tuple[str, str]] = {
    "capital": (
        "What is the capital of {}?",
        """France = Paris; Germany = Berlin; Italy = Rome; Spain = Madrid; Portugal = Lisbon; England = London; Ireland
        = Dublin; Scotland = Edinburgh; Norway = Oslo; Sweden = Stockholm; Denmark = Copenhagen; Finland = Helsinki;
        Poland = Warsaw; Austria = Vienna; Hungary = Budapest; Greece = Athens; Russia = Moscow; Ukraine = Kyiv|Kiev;
        Turkey = Ankara; Egypt = Cairo; Kenya = Nairobi; Japan = Tokyo; China = Beijing; India = New Delhi; Thailand =
        Bangkok; Vietnam = Hanoi; Indonesia = Jakarta; Australia = Canberra; New Zealand = Wellington; Canada = Ottawa;
        Mexico = Mexico City; Cuba = Havana; Argentina = Buenos Aires; Chile = Santiago; Peru = Lima; Colombia =
        Bogota|Bogotá; Brazil = Brasilia|Brasília; Iran = Tehran; Iraq = Baghdad; Saudi Arabia = Riyadh; Israel =
        Jerusalem; the Netherlands = Amsterdam; Belgium = Brussels; the Czech Republic = Prague; Romania = Bucharest;
        Bulgaria = Sofia; Iceland = Reykjavik|Reykjavík; South Korea = Seoul; the Philippines = Manila; the United
        States = Washington""",
    ),
    "language": (
        "What is the main language that people speak in {}?",
        """France = French; Germany = German; Italy = Italian; Spain = Spanish; Portugal = Portuguese; England =
        English; Poland = Polish; Sweden = Swedish; Norway = Norwegian; Denmark = Danish; Finland = Finnish; Greece =
        Greek; Turkey = Turkish; Russia = Russian; Ukraine = Ukrainian; Hungary = Hungarian; Romania = Romanian; Japan
        = Japanese; China = Chinese|Mandarin; Korea = Korean; Thailand = Thai; Vietnam = Vietnamese; Egypt = Arabic;
        Saudi Arabia = Arabic; Iran = Persian|Farsi; Mexico = Spanish; Argentina = Spanish; Brazil = Portuguese;
        Australia = English; Austria = German; Cuba = Spanish; the United States = English""",
    ),
    "fact": (
        "{}?",
        """What is the largest planet in the solar system = Jupiter; Which planet is closest to the Sun = Mercury;
        Which planet is known as the Red Planet = Mars; What is the largest ocean on Earth = Pacific; What is the
        highest mountain in the world = Everest; What gas do plants take in from the air = carbon dioxide|CO2; What gas
        do people need to breathe = oxygen; What do bees make = honey; What is the chemical formula of water = H2O|H₂O;
        What star does the Earth orbit = Sun; What is frozen water called = ice; What organ pumps blood = heart; What
        organ do people think with = brain; What do cows produce that people drink = milk; What is the largest animal
        on Earth = whale; What is the fastest land animal = cheetah; What is the tallest animal = giraffe; What metal
        is attracted by magnets = iron; What force pulls things to the ground = gravity|gravitational; What is the
        largest desert in Africa = Sahara; In which country is the Eiffel Tower = France; In which country are the
        pyramids of Giza = Egypt; In which country is the Great Wall = China; In which city is the Colosseum = Rome; In
        which city is the Statue of Liberty = New York; In which city is Big Ben = London; What is the currency of
        Japan = yen; What is the currency of the United States = dollar|dollars|USD; What is the currency of the United
        Kingdom = pound|pounds|GBP; What do caterpillars turn into = butterfly|butterflies|moth|moths; What process do
        plants use to make food from sunlight = photosynthesis; What is the center of an atom called = nucleus; What
        instrument is used to look at stars = telescope; What instrument measures temperature = thermometer; What part
        of a plant takes in water from the soil = root|roots; What is the hardest natural substance = diamond; What is
        the natural satellite of the Earth = moon; What is the longest river in Africa = Nile; What is the largest
        country in the world = Russia""",
    ),
    "person": (
        "Who was {}?",
        """Albert Einstein = physicist|scientist|relativity|physics; Isaac Newton =
        physicist|scientist|mathematician|gravity; Charles Darwin = naturalist|biologist|evolution|scientist; William
        Shakespeare = playwright|poet|writer|plays|dramatist; Mozart = composer|music|musician; Beethoven =
        composer|music|musician; Bach = composer|music|musician; Leonardo da Vinci = artist|painter|inventor|polymath;
        Michelangelo = artist|sculptor|painter; Vincent van Gogh = artist|painter; Pablo Picasso = artist|painter;
        Claude Monet = artist|painter; Napoleon = emperor|general|military|French; Julius Caesar =
        general|Roman|emperor|dictator; Cleopatra = queen|Egypt|Egyptian|pharaoh; Abraham Lincoln = president; George
        Washington = president; Winston Churchill = prime minister|politician|statesman|British; Mahatma Gandhi =
        India|Indian|leader|activist; Nelson Mandela = South Africa|South African|president|apartheid; Martin Luther
        King = civil rights|activist|leader; Marie Curie = scientist|physicist|chemist|radioactivity; Galileo Galilei =
        astronomer|scientist|physicist|astronomy; Plato = philosopher|philosophy; Aristotle = philosopher|philosophy;
        Socrates = philosopher|philosophy; Confucius = philosopher|philosophy|Chinese; Jane Austen =
        novelist|writer|author; Charles Dickens = novelist|writer|author; Mark Twain = novelist|writer|author; Ernest
        Hemingway = novelist|writer|author; Homer = poet|Greek; Neil Armstrong = astronaut|moon; Christopher Columbus =
        explorer|navigator; Marco Polo = explorer|traveler|merchant|Venetian; Thomas Edison =
        inventor|invention|inventions; Elvis Presley = singer|musician|rock; Walt Disney =
        animator|film|animation|entrepreneur|producer; Alexander the Great = king|Macedonian|Macedon|conqueror|Greek;
        Sigmund Freud = psychoanalysis|psychologist|psychoanalyst|neurologist|psychology""",
    ),
    "category": (
        "What do these things have in common: {}?",
        """apple, banana, orange = fruit|fruits; carrot, onion, cabbage = vegetable|vegetables; dog, cat, horse =
        animal|animals|mammals|pets; red, blue, green = color|colors|colour|colours; rose, tulip, daisy =
        flower|flowers; piano, guitar, violin = instrument|instruments|music|musical; France, Spain, Italy =
        country|countries|Europe|European; Mars, Venus, Jupiter = planet|planets|solar system; hammer, saw, screwdriver
        = tool|tools; shirt, trousers, jacket = clothes|clothing|garments|worn|wear; eagle, sparrow, robin =
        bird|birds; salmon, tuna, cod = fish; oak, pine, maple = tree|trees; chair, table, sofa = furniture; gold,
        silver, copper = metal|metals; football, tennis, basketball = sport|sports; car, bus, truck =
        vehicle|vehicles|transportation|transport; ant, bee, beetle = insect|insects|bugs; English, French, German =
        language|languages; circle, square, triangle = shape|shapes|geometric; Monday, Tuesday, Friday = day|days|week;
        spring, summer, autumn = season|seasons; lion, tiger, leopard = cats|animals|big cat; snake, lizard, crocodile
        = reptile|reptiles; doctor, teacher, lawyer = job|jobs|profession|professions|professionals; tea, coffee, juice
        = drink|drinks|beverage|beverages; Paris, London, Berlin = city|cities|capital|capitals; Atlantic, Pacific,
        Indian = ocean|oceans; arm, leg, hand = body|limbs; hydrogen, oxygen, carbon = element|elements""",
    ),
    "kind of thing": (
        "What is {}?",
        """a salmon = fish; a shark = fish; a tuna = fish; an eagle = bird; a sparrow = bird; a penguin = bird; a rose
        = flower|plant; a tulip = flower|plant; a daisy = flower|plant; an oak = tree; a violin = instrument; a guitar
        = instrument; a trumpet = instrument; a flute = instrument; a carrot = vegetable; a potato = vegetable|tuber; a
        banana = fruit; a lemon = fruit; a strawberry = fruit; a mango = fruit; a dog = animal|mammal|pet|domesticated;
        a horse = animal|mammal|equine; a tiger = animal|mammal|cat; a whale = mammal|animal; a butterfly =
        insect|insects; a beetle = insect|insects; a mosquito = insect|insects; a lizard = reptile|reptiles; a snake =
        reptile|reptiles; a frog = amphibian|amphibians; a hammer = tool; a screwdriver = tool; a chair =
        furniture|seat|sit|sitting; a sofa = furniture|seat|seating; a jacket = clothing|garment|coat|clothes; a shirt
        = clothing|garment; a truck = vehicle; a bicycle = vehicle|wheels|wheeled; a diamond =
        gem|gemstone|mineral|carbon|stone; a desert = dry|arid; an island = land|water; a volcano =
        mountain|lava|magma|eruption|vent|geological; a hospital = medical|patients|health|healthcare; a library =
        books|book; a planet = celestial|star|orbits|astronomical; a triangle = shape|sides|polygon; a sonnet =
        poem|poetry|poetic; a novel = book|fiction|story|literature|written|literary; a waltz = dance; a sandwich =
        bread|food""",
    ),
    "occupation": (
        "What does {} do?",
        """a teacher = teach|teaches|teaching|students|educate|education; a baker = bake|bakes|baking|bread; a doctor =
        patients|medical|health|treat; a nurse = patients|care|health; a farmer =
        crops|crop|land|animals|farm|livestock; a pilot = fly|flies|flying|aircraft|airplane|plane|planes; a painter =
        paint|paints|art|painting|paintings; a writer = write|writes|writing; a singer =
        sing|sings|singing|music|songs|vocal; a dentist = teeth|dental|oral; a chef = cook|cooking|food|cooks|culinary;
        a firefighter = fire|fires; a judge = law|court|legal|cases; a lawyer = law|legal; a librarian =
        books|library|libraries; a carpenter = wood|wooden|build|furniture; a photographer =
        photos|photographs|pictures|images|photography|capture; a gardener = plants|garden|gardens|gardening; a tailor
        = clothes|clothing|garments|sew; a fisherman = fish|fishing|catch; a musician = music|musical|play; an actor =
        act|acts|perform|performs|roles|acting|characters; an architect = buildings|design|designs|building; an
        astronaut = space; a detective = crime|crimes|investigate|investigates|case|cases|solve; an electrician =
        electrical|electricity; a plumber = pipes|plumbing|water; a mechanic =
        repair|repairs|cars|vehicles|fix|machines|mechanical|maintenance; a veterinarian = animals|animal|pets; a
        translator = language|languages|translate|translates|text; a waiter =
        food|serve|serves|customers|restaurant|guests; a police officer = law|public|crime|safety|enforce""",
    ),
    "use": (
        "What is {} used for?",
        """a knife = cut|cutting|slicing|slice|chopping; a pen = write|writing|writes; a hammer =
        nail|nails|hit|hitting|pounding|driving|striking; a spoon = eat|eating|food|stirring|serving|scooping|stir; a
        bed = sleep|sleeping|rest; a phone = call|calls|calling|communicate|communication|communicating; a camera =
        photo|photos|photographs|pictures|images|capture|photograph; a broom = sweep|sweeping|clean|cleaning; a towel =
        dry|drying; an umbrella = rain|protect|protection|shade; a clock = time; a key =
        lock|locks|open|opening|unlock|unlocking; a lamp = light|lighting|illuminate|illumination; a telescope =
        stars|distant|sky|observe|observing|celestial; a thermometer = temperature|temperatures; a ruler =
        measure|measuring|measurements|measurement|length; an oven = cook|cooking|bake|baking|heat; a refrigerator =
        cold|cool|food|fresh; a needle = sew|sewing|stitch|stitching|inject; a pair of scissors = cut|cutting; a car =
        travel|transportation|driving|transport|drive; a boat = water|sail|sailing|travel|fishing; a bicycle =
        ride|riding|transportation|travel|exercise; a piano = music|play|playing; a book =
        read|reading|information|knowledge; a mirror = reflect|reflection|reflects|see|look; a pillow =
        sleep|sleeping|head|comfort|support|rest; a microscope = tiny|small|magnify|magnifying|observe|examine|cells; a
        map = location|locations|navigate|navigation|find|directions|geographic; soap = clean|cleaning|wash|washing; a
        wallet = money|cash|cards|credit; a helmet = protect|protection|head|safety""",
    ),
    "material": (
        "What is {} made from?",
        """paper = wood|trees|tree|pulp|cellulose; bread = flour|wheat; cheese = milk; butter = milk|cream; wine =
        grapes|grape; chocolate = cocoa|cacao; glass = sand|silica; wool = sheep; yogurt = milk; beer =
        barley|malt|hops|grain|grains; honey = nectar; steel = iron; bronze = copper|tin;
        flour = wheat|grain|grains; tofu = soy|soybeans|soybean; a french fry = potatoes|potato; ketchup =
        tomatoes|tomato; a raisin = grapes|grape; cider = apples|apple; leather = animal|hides|hide|skin|skins|cow;
        silk = silkworm|silkworms; an omelette = eggs|egg; jam = fruit|fruits""",
    ),
    "opposite": (
        "What is the opposite of '{}'?",
        """hot = cold; big = small|little; fast = slow; happy = sad|unhappy; up = down; left = right; day = night;
        black = white; good = bad|evil; rich = poor; old = new|young; young = old; light = dark|darkness|heavy; open =
        closed|close|shut; wet = dry; hard = soft|easy; early = late; strong = weak; full = empty; high = low; clean =
        dirty; loud = quiet|soft|silent; love = hate|hatred; war = peace; begin = end|finish; buy = sell; win = lose;
        push = pull; true = false; first = last; inside = outside; above = below|beneath; sweet = sour|bitter; thick =
        thin; wide = narrow; long = short; tall = short; cheap = expensive; brave = cowardly|coward|afraid|fearful;
        friend = enemy|foe; success = failure; always = never; north = south; east = west; summer = winter; life =
        death; asleep = awake""",
    ),
    "plural": (
        "What is the plural of the word '{}'?",
        """cat = cats; dog = dogs; house = houses; book = books; tree = trees; car = cars; apple = apples; box = boxes;
        bus = buses; dish = dishes; church = churches; baby = babies; city = cities; story = stories; lady = ladies;
        party = parties; child = children; man = men; woman = women; foot = feet; tooth = teeth; mouse = mice; goose =
        geese; leaf = leaves; knife = knives; wolf = wolves; wife = wives; life = lives; person = people|persons; river
        = rivers; window = windows; flower = flowers; teacher = teachers; brother = brothers; potato = potatoes; tomato
        = tomatoes; hero = heroes; boy = boys; key = keys; day = days""",
    ),
    "copy": (
        "Repeat this sentence exactly: {}",
        """The cat sat on the mat.; The sun is shining today.; My brother likes to play football.; She bought a red
        dress.; We went to the beach last summer.; The train leaves in the morning.; He is reading a book about birds.;
        The children are playing in the garden.; I like coffee with milk.; The dog barked at the mailman.; It is
        raining in London.; They live in a small village.; The teacher wrote on the board.; My favorite color is blue.;
        The soup is too hot to eat.; Birds fly south in the winter.; The old man told a story.; She plays the piano
        very well.; The door was left open.; Our neighbors have a black cat.; The river flows to the sea.; He forgot
        his keys at home.; The baby is sleeping now.; Fresh bread smells wonderful.; The library is closed on Sunday.;
        We planted a tree in the park.; The movie was long and boring.; A gentle wind moved the leaves.; The farmer has
        many sheep.; Please close the window.; The bus was late again.; I lost my umbrella yesterday.; The moon is
        bright tonight.; Her sister works in a hospital.; The cake was sweet and soft.; The boat sailed across the
        lake.; He painted the wall green.; The mountain is covered with snow.; The phone rang in the night.; Everyone
        enjoyed the music.""",
    ),
    "reading": (
        "{}?",
        """Anna lives in Paris. Where does Anna live = Paris; Tom went to the market. Where did Tom go = market; The
        keys are on the table. Where are the keys = table; The cat is under the bed. Where is the cat = bed; Maria
        bought a lamp. What did Maria buy = lamp; Ben lost his jacket. What did Ben lose = jacket; The teacher's name
        is Clara. What is the teacher's name = Clara; My dog is called Rocky. What is the dog called = Rocky; Lucy
        plays the violin. Which instrument does Lucy play = violin; Sam's favorite fruit is mango. What is Sam's
        favorite fruit = mango; The meeting is on Thursday. On which day is the meeting = Thursday; The shop opens in
        May. In which month does the shop open = May; John gave the letter to Emma. Who got the letter = Emma; The cake
        was baked by Peter. Who baked the cake = Peter; It rained all day, so the picnic was canceled. Why was the
        picnic canceled = rain|rained|raining; Nina drinks tea every morning. What does Nina drink = tea; The bird
        built a nest in the oak. Where is the nest = oak; David works as a nurse. What is David's job = nurse; The
        farmer keeps goats. Which animals does the farmer keep = goats|goat; Julia is going to Rome by train. How is
        Julia going to Rome = train; Karl speaks Danish. Which language does Karl speak = Danish; The museum is next to
        the library. What is next to the museum = library; Olga painted a horse. What did Olga paint = horse; The soup
        is made of carrots. What is the soup made of = carrots|carrot; Max hid the coin in a shoe. Where is the coin =
        shoe; The prize was won by Sofia. Who won the prize = Sofia; Leo is afraid of spiders. What is Leo afraid of =
        spiders|spider; Our captain is Hugo. Who is the captain = Hugo; The package came from Norway. Where did the
        package come from = Norway; Eva put the milk in the fridge. Where is the milk = fridge|refrigerator""",
    ),
    "sentence": (
        "Write one short sentence about {}.",
        """a cat = cat|cats; a dog = dog|dogs; the sea = sea|ocean|waves; winter = winter|snow|cold; a garden =
        garden|flowers; music = music|melody; the moon = moon; a river = river; a train = train; coffee = coffee; a
        bird = bird|birds; the sun = sun; a house = house; friendship = friendship|friend|friends; a mountain =
        mountain|mountains; a horse = horse; rain = rain; a teacher = teacher|students; bread = bread; the night =
        night|moon|stars""",
    ),
}
