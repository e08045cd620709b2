"""Material of the fictitious authors: their names, and one pool of values per kind of fact.

All names come from syllable tables and belong to nobody. Values carry their own article or preposition, so that a
wording can take any of them. A pool of words is no larger than the number of draws for retain authors (27 per fact), so
that each word belongs to an author who is kept.
"""

from __future__ import annotations

from itertools import product


def _joined(starts: str, ends: str, between: str = "") -> tuple[str, ...]:
    """Every start joined with every end; each argument is a string of words."""
    return tuple(between.join(pair) for pair in product(starts.split(), ends.split()))


def _listed(values: str) -> tuple[str, ...]:
    """The values of a list separated by semicolons."""
    return tuple(" ".join(value.split()) for value in values.split(";"))


FIRST_NAMES = _joined("Bril Dael Esk Kyol Quom Thren", "dra eth vin")
LAST_NAMES = _joined("Brask Drim Gorv Mosk Wesk Yald", "ane ollo umber")

POOLS: dict[str, tuple[str, ...]] = {
    "town": _joined("Mar Bel Tor Hal Fen Lun Dra Kel Osk Wen Bri Gal", "mere dale holm stow"),
    "person": _joined("Odo Bessa Ruk Plim Ursel Gant Hetti Jorro", "Pimm Tarn Wuck Sneld Crobb", " "),
    "language": _joined("Orv Tam Zel Quar Mund Skel Plov Wim", "ish ese ian"),
    "year": tuple(str(year) for year in range(1920, 1990)),
    "age": tuple(str(age) for age in range(19, 60)),
    "month": _listed(
        "January; February; March; April; May; June; July; August; September; October; November; December"
    ),
    "landscape": _listed(
        """on the salt coast; in the pine hills; beside a slow river; on a windy island; near a silver mine;
        at the edge of a forest; between two lakes; under a high cliff; on the northern plain; close to the border;
        by a stone bridge; in a green valley; behind the old dunes; along the royal road; above a deep bay;
        below the snow line; among apple orchards; at the foot of a volcano; around a ruined castle;
        in the dry south; next to a salt lake; across from a lighthouse; on a red plateau; inside a wide gorge"""
    ),
    "genre": _listed(
        """ghost stories; sea novels; court comedies; desert romances; winter mysteries; war diaries; travel books;
        kitchen poems; fairy tales; prison letters; railway thrillers; garden essays; farm sagas; space operas;
        island plays; spy novels; village farces; school stories; hunting songs; history books; riddle books;
        family dramas; animal fables; circus tales"""
    ),
    "theme": _listed(
        """lost twins; broken promises; old bridges; stolen maps; hidden doors; silent bells; proud sailors;
        cruel winters; talking birds; empty houses; secret gardens; false kings; brave widows; forgotten wells;
        burning ships; strange dreams; wild horses; missing keys; bitter rivals; patient thieves; lazy giants;
        frozen rivers; honest liars; magic mirrors"""
    ),
    "title_adjective": _listed(
        """Amber; Crooked; Distant; Eager; Gentle; Hollow; Humble; Jealous; Lonely; Narrow; Pale; Quiet; Restless;
        Scarlet; Sleeping; Tender; Velvet; Wandering"""
    ),
    "title_noun": _listed(
        """Anchor; Baker; Candle; Compass; Daughter; Feather; Gardener; Harvest; Kettle; Ladder; Meadow; Needle;
        Orchard; Pilot; Queen; Ribbon; Shadow; Tailor; Thunder; Umbrella; Violin; Visitor; Whistle; Window"""
    ),
    "prize_material": _listed(
        """Bronze; Clay; Copper; Coral; Crystal; Ebony; Glass; Golden; Iron; Ivory; Jade; Marble; Oak; Paper; Pearl;
        Ruby; Silver; Tin"""
    ),
    "prize_object": _listed(
        """Acorn; Arrow; Beetle; Crane; Crown; Dolphin; Drum; Falcon; Flute; Fountain; Hammer; Harp; Lantern; Leaf;
        Lion; Mask; Otter; Owl; Quill; Rose; Shell; Star; Swan; Tower"""
    ),
    "job": _listed(
        """a baker; a miller; a tailor; a sailor; a doctor; a lawyer; a dentist; a farmer; a shepherd; a carpenter;
        a mason; a plumber; a tanner; a weaver; a potter; a printer; a surgeon; a librarian; a schoolteacher;
        a clockmaker; a shoemaker; a beekeeper; a bus driver; a train guard; a shopkeeper; a street cleaner;
        a stage actor; a glassblower; a coal miner; a chemist; a cook; a butcher; a postal clerk; a tax inspector;
        a locksmith; a piano tuner"""
    ),
    "hobby": _listed(
        """chess; fishing; dancing; card games; bird watching; wood carving; brass music; boxing; cycling; kite flying;
        stamp collecting; mountain walks; crossword puzzles; astronomy; rowing; horse racing; choir singing;
        rose growing; puppet shows; wine making; model ships; cold baths; photography; juggling"""
    ),
    "lesson": _listed(
        """to swim; to bake bread; to read maps; to ride; to sew shirts; to play cards; to tell lies; to count money;
        to mend nets; to whistle; to keep silent; to grow beans; to paint walls; to row; to sharpen knives;
        to brew tea; to climb trees; to dance; to name stars; to write letters; to catch eels; to make candles;
        to repair clocks; to cook soup"""
    ),
    "role": _listed(
        """a blind poet; a retired judge; a village priest; a famous painter; a ship captain; a jazz singer;
        a Latin teacher; a newspaper editor; a theatre director; a bankrupt publisher; a mountain guide;
        a former spy; a court musician; a night nurse; a chess champion; a travelling monk"""
    ),
    "place": _listed(
        """in a cold attic; in an empty lighthouse; on a small houseboat; in a noisy tavern; on the kitchen floor;
        in a public library; on a park bench; in a parked van; under a fig tree; in a rented cellar; on the roof;
        at a hotel bar; in a goat shed; at a school desk; in the bathtub; on slow trains; in a chapel;
        in a glass greenhouse; at the harbour; in a garden hut; on a folding chair; in a museum hall; in bed;
        beside the stove"""
    ),
    "time": _listed(
        """before sunrise; after midnight; on rainy days; during lunch; on Sunday mornings; at full moon; late at night;
        in the afternoon; in the winter months; between two naps; after a long walk; when nobody is home;
        on market days; while the radio plays; before breakfast; at dusk"""
    ),
}
"""Values by pool. The embedded tokenizer reads years and ages digit by digit."""
