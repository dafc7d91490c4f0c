"""Records and pure rules: what a profile, an instance, a card, a sample and a plan are. No I/O, no clock."""
