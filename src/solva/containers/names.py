"""Words for the names of containers that were given none."""

ADJECTIVES: tuple[str, ...] = (
    "agile", "amber", "bold", "brave", "breezy", "bright", "brisk", "calm", "candid", "clever", "cosy", "crisp",
    "curious", "daring", "deft", "eager", "fair", "fleet", "fond", "frank", "gentle", "glad", "golden", "happy",
    "hardy", "hearty", "honest", "jolly", "keen", "kind", "lively", "lucid", "mellow", "merry", "mild",
    "modest", "neat", "nimble", "noble", "patient", "plucky", "polite", "proud", "quick", "quiet", "rapid",
    "ready", "serene", "sharp", "silent", "smart", "snug", "solid", "spry", "steady", "still", "sunny", "swift",
    "tidy", "tranquil", "trusty", "upbeat", "vivid", "warm", "wise", "witty", "zesty",
)
NOUNS: tuple[str, ...] = (
    "acorn", "alder", "anchor", "aspen", "badger", "barley", "beacon", "beaver", "birch", "bison", "brook",
    "cedar", "clover", "comet", "coral", "crane", "cricket", "daisy", "delta", "dolphin", "dune", "eagle",
    "elm", "ember", "falcon", "fern", "finch", "fjord", "fox", "gannet", "glacier", "grove", "harbor", "hazel",
    "heron", "hill", "ibis", "island", "jay", "juniper", "kestrel", "lagoon", "lantern", "lark", "linden",
    "lynx", "maple", "marten", "meadow", "mesa", "moss", "nettle", "oak", "orchid", "osprey", "otter", "owl",
    "pebble", "pine", "plover", "poppy", "puffin", "quail", "quartz", "raven", "reef", "river", "robin",
    "rowan", "sage", "seal", "sparrow", "spruce", "stork", "summit", "swan", "tern", "thistle", "tide", "trout",
    "tulip", "vale", "walnut", "willow", "wren", "yarrow",
)
