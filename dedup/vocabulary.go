package dedup

import "strings"

// unit is how a unit of measure is read: its kind, and how many of the kind's base units it is.
type unit struct {
	kind   kind
	factor float64
	glued  bool // only directly after the number: "5 in" is rarely five inches
}

// units by the word after a number. Decimal and binary prefixes of bytes are taken for the same, as shops do.
var units = table(map[string]unit{
	"ml millilitre millilitres milliliter milliliters": {kind: volume, factor: 1},
	"cl centilitre centilitres centiliter centiliters": {kind: volume, factor: 10},
	"dl": {kind: volume, factor: 100},
	"l lt ltr litre litres liter liters litro litros litri": {kind: volume, factor: 1000},
	"floz":                                 {kind: volume, factor: 29.5735},
	"gal gallon gallons":                   {kind: volume, factor: 3785.41},
	"mg":                                   {kind: weight, factor: 0.001},
	"g gr gram grams gramme grammes":       {kind: weight, factor: 1},
	"kg kgs kilo kilos kilogram kilograms": {kind: weight, factor: 1000},
	"oz ounce ounces":                      {kind: weight, factor: 28.3495},
	"lb lbs pound pounds":                  {kind: weight, factor: 453.592},
	"mm millimetre millimetres millimeter millimeters": {kind: length, factor: 1},
	"cm centimetre centimetres centimeter centimeters": {kind: length, factor: 10},
	"m mtr metre metres meter meters metro metros":     {kind: length, factor: 1000},
	"inch inches zoll pouces pulgadas":                 {kind: length, factor: 25.4},
	"in":                                               {kind: length, factor: 25.4, glued: true},
	"ft feet foot":                                     {kind: length, factor: 304.8},
	"yd yard yards":                                    {kind: length, factor: 914.4},
	"kb":                                               {kind: storage, factor: 0.001},
	"mb megabyte megabytes":                            {kind: storage, factor: 1},
	"gb gigabyte gigabytes go":                         {kind: storage, factor: 1000},
	"tb terabyte terabytes":                            {kind: storage, factor: 1e6},
	"mw":                                               {kind: power, factor: 0.001},
	"w watt watts":                                     {kind: power, factor: 1},
	"kw kilowatt kilowatts":                            {kind: power, factor: 1000},
	"v volt volts":                                     {kind: voltage, factor: 1},
	"mah":                                              {kind: charge, factor: 1},
	"ah":                                               {kind: charge, factor: 1000},
	"hz":                                               {kind: frequency, factor: 1},
	"khz":                                              {kind: frequency, factor: 1e3},
	"mhz":                                              {kind: frequency, factor: 1e6},
	"ghz":                                              {kind: frequency, factor: 1e9},
	"mp megapixel megapixels mpx mpix mpixel": {kind: pixels, factor: 1},
	"p":                       {kind: lines, factor: 1, glued: true},
	"min mins minute minutes": {kind: duration, factor: 1},
	"h hr hrs hour hours":     {kind: duration, factor: 60},
	"day days":                {kind: duration, factor: 1440},
	"month months":            {kind: months, factor: 1},
	"year years yr yrs":       {kind: months, factor: 12},
	"lm lumen lumens":         {kind: light, factor: 1},
	"rpm":                     {kind: turns, factor: 1},
	"dpi":                     {kind: dots, factor: 1},
	"bit":                     {kind: bits, factor: 1},
	"pack packs pk pcs pc piece pieces part parts item items count ct set pce pces stück": {kind: quantity, factor: 1},
	"user users usr seat seats license licenses licence licences cal":                     {kind: users, factor: 1},
	"u":                       {kind: users, factor: 1, glued: true},
	"sheet sheets":            {kind: sheets, factor: 1},
	"player players":          {kind: players, factor: 1},
	"slice slices slot slots": {kind: slots, factor: 1},
	"tablet tablets capsule capsules caps tabs": {kind: tablets, factor: 1},
})

// companies are words that a brand's name has in one shop and lacks in the next.
var companies = words("co inc ltd llc gmbh corp corporation company ag sa srl bv the and")

// fields are the attributes that are facts whatever the text says, by their usual names.
var fields = table(map[string]kind{
	"brand manufacturer maker vendor marque marke marca": brand,
	"colour color farbe couleur":                         colour,
	"size groesse größe taille":                          fitting,
	"material":                                           material,
	"pattern":                                            pattern,
	"mpn model model_number part_number":                 partNumber,
	"gtin gtin13 gtin12 ean upc isbn barcode":            barcode,
})

// containers stand before "of N", as in "pack of 6".
var containers = words("pack set box case lot bundle bag pair packs")

// numberWords are the numbers that people write out before a noun.
var numberWords = map[string]float64{
	"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
	"eleven": 11, "twelve": 12, "single": 1, "double": 2, "twin": 2, "triple": 3,
}

// colours are names of colours in English, and the plain ones in Spanish, French, German, Italian, Dutch and Portuguese.
var colours = table(map[string]string{
	"black schwarz noir noire negro negra nero nera zwart preto preta":                   "black",
	"white weiss weiß weiße blanc blanche blanco blanca bianco bianca wit branco branca": "white",
	"grey gray grau gris grigio grijs cinza":                                             "grey",
	"silver silber argent plata argento zilver prata plateado":                           "silver",
	"red rot rouge rojo roja rosso rossa rood vermelho":                                  "red",
	"blue blau bleu bleue azul blu blauw":                                                "blue",
	"green grün vert verte verde groen":                                                  "green",
	"yellow gelb jaune amarillo amarilla giallo geel amarelo":                            "yellow",
	"orange naranja arancione oranje laranja":                                            "orange",
	"pink rosa rose": "pink",
	"purple lila violet violett morado viola paars roxo": "purple",
	"brown braun marron marrón marrone bruin marrom":     "brown",
	"gold golden dorado oro goud dourado":                "gold",
	"natural":                                            "natural", "sand": "sand", "mint": "mint", "coral": "coral", "peach": "peach", "plum": "plum", "ruby": "ruby",
	"emerald": "emerald", "rust": "rust", "indigo": "indigo", "ochre": "ochre", "taupe": "taupe", "stone": "stone",
	"pearl": "pearl", "chrome": "chrome", "brass": "brass", "oak": "oak", "walnut": "walnut", "beech": "beech", "pine": "pine",
	"ash": "ash", "birch": "birch", "maple": "maple", "cherry": "cherry", "mahogany": "mahogany", "ebony": "ebony",
	"beige": "beige", "cream ivory": "cream", "turquoise teal aqua": "turquoise", "navy": "navy",
	"anthracite charcoal": "anthracite", "graphite": "graphite", "slate": "slate", "bronze": "bronze", "copper": "copper",
	"burgundy": "burgundy", "khaki": "khaki", "lavender": "lavender", "magenta": "magenta", "cyan": "cyan",
	"maroon": "maroon", "sage": "sage", "titanium": "titanium", "champagne": "champagne", "mustard": "mustard",
	"terracotta": "terracotta", "olive": "olive", "camouflage camo": "camouflage",
})

// materials and patterns, which tell variants apart as colours do.
var materials = words(`steel aluminium aluminum plastic glass ceramic stoneware porcelain earthenware cotton wool linen leather
	silk polyester nylon bamboo rubber silicone acrylic velvet fleece canvas felt cork marble granite enamel paper
	alpaca cashmere denim jute hemp viscose acacia teak rattan`)

var patterns = words("floral striped stripes checked plaid dotted starry geometric plain tartan paisley leopard zebra marbled speckled")

// edition is a word that tells offers of one product line apart. Two of one group exclude each other.
type edition struct{ group, name string }

var editions = table(map[string]edition{
	"mac macintosh macos osx macosx": {"platform", "mac"},
	"windows win":                    {"platform", "windows"},
	"linux":                          {"platform", "linux"},
	"ps2":                            {"platform", "ps2"},
	"ps3":                            {"platform", "ps3"},
	"ps4":                            {"platform", "ps4"},
	"ps5":                            {"platform", "ps5"},
	"psp":                            {"platform", "psp"},
	"ios ipados":                     {"platform", "ios"},
	"xbox":                           {"platform", "xbox"},
	"wii":                            {"platform", "wii"},
	"android":                        {"platform", "android"},
	"standard std":                   {"level", "standard"},
	"professional pro":               {"level", "professional"},
	"premium":                        {"level", "premium"},
	"ultimate":                       {"level", "ultimate"},
	"home":                           {"level", "home"},
	"basic basics":                   {"level", "basic"},
	"enterprise":                     {"level", "enterprise"},
	"business":                       {"level", "business"},
	"deluxe dlx":                     {"level", "deluxe"},
	"lite":                           {"level", "lite"},
	"plus":                           {"level", "plus"},
	"express":                        {"level", "express"},
	"elite":                          {"level", "elite"},
	"platinum":                       {"level", "platinum"},
	"essentials elements":            {"level", "elements"},
	"starter":                        {"level", "starter"},
	"advanced adv":                   {"level", "advanced"},
	"upgrade upgrades upg":           {"licence", "upgrade"},
	"academic student students education educational teacher edu": {"licence", "academic"},
	"oem":                  {"licence", "oem"},
	"trial":                {"licence", "trial"},
	"subscription renewal": {"licence", "subscription"},
	"server":               {"side", "server"},
	"client":               {"side", "client"},
	"desktop":              {"side", "desktop"},
	"body":                 {"scope", "body"},
	"kit":                  {"scope", "kit"},
	"bundle package":       {"scope", "bundle"},
	"refill refills":       {"scope", "refill"},
	"used refurbished renewed reconditioned preowned": {"condition", "used"},
	"left":                               {"hand", "left"},
	"right":                              {"hand", "right"},
	"men mens":                           {"wearer", "men"},
	"women womens ladies":                {"wearer", "women"},
	"kids kid children childrens junior": {"wearer", "children"},
	"long":                               {"fit", "long"}, "short": {"fit", "short"}, "wide": {"fit", "wide"}, "slim": {"fit", "slim"}, "narrow": {"fit", "narrow"}, "regular": {"fit", "regular"},
	"wireless cordless": {"connection", "cordless"}, "wired corded": {"connection", "corded"}, "portable": {"build", "portable"}, "handheld": {"build", "handheld"}, "countertop": {"build", "countertop"},
	"small":  {"fit", "small"},
	"medium": {"fit", "medium"},
	"large":  {"fit", "large"},
	"mini":   {"fit", "mini"},
	"king":   {"fit", "king"},
	"queen":  {"fit", "queen"},
})

// editionGroups are the groups of editions, as kinds.
var editionGroups = func() map[kind]bool {
	out := map[kind]bool{}
	for _, e := range editions {
		out[kind(e.group)] = true
	}
	return out
}()

// table spreads the words of each key.
func table[V any](m map[string]V) map[string]V {
	out := make(map[string]V, 2*len(m))
	for keys, v := range m {
		for _, k := range strings.Fields(keys) {
			out[k] = v
		}
	}
	return out
}

func words(s string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(s) {
		out[w] = true
	}
	return out
}
